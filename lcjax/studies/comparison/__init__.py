"""Comparison of measured learning curves from files, and its summary."""
