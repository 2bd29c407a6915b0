"""Predicted learning curves (Bisla et al., 2021)."""
