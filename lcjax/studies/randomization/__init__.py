"""Randomization tests of networks (Zhang et al., 2017)."""
