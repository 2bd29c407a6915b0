"""Faults that users meet: damage, kills and malformed files, and the outcome of each."""
