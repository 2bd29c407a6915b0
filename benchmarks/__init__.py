"""Benchmarks: one harness, side by side with the peers."""
