"""Mutated files for every reader: `python -m benchmarks faults`."""
