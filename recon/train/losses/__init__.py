"""Losses: pure functions on tensors and masks; what is outside a mask has no effect and no gradient, NaN included.

Each gives one number for each image or scene, which is 0 where nothing of it can be compared.
"""
