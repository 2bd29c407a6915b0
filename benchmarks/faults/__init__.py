"""Faults on purpose: signals, lost processes, damaged files."""
