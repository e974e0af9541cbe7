"""Datasets as uint8 tensors in memory, their splits, and the augmented views of them."""
