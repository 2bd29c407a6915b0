"""Fits and forecasts of a table of learning curves, their summary, and their scores on held-out sizes."""
