"""Long inputs: the same road in overlapping windows, each kept on the disk as soon as it is done, and joined.

`road` goes through the windows, `joints` measures how neighbours lie to each other, `placing` makes one world of them,
`assemble` writes the whole.
"""
