"""Long inputs: the same road in overlapping windows, each kept on the disk as soon as it is done, and joined.

`road` goes through the windows, `joints` measures how neighbours lie to each other, `loops` finds places that are seen
again, `placing` makes one world of neighbours, `closing` bends it to meet the loops,
`assemble` writes the whole.
"""
