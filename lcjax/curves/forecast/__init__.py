"""Forecasts of learning curves beyond the measured sizes, and of training runs in flight."""
