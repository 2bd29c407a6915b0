"""Flax Linen modules and their objectives."""
