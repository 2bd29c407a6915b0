"""Forecasts of runs in flight, compared on recorded runs: `python -m benchmarks.runs_in_flight`."""
