"""Randomization tests (Zhang et al., 2017)."""
