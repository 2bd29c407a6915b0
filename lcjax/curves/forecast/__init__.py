"""Forecasts beyond the measured sizes."""
