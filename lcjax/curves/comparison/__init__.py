"""Comparison of learning curves: differences, order, crossings and equivalent amounts of data, with probabilities."""
