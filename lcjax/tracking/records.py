"""Trackers of experiments by address, and what they are given."""
