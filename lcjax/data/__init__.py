"""Data sets and their subsets."""
