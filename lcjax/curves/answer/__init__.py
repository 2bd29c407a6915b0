"""Answers from the joint draws of a forecast: the size for a target, its assurance, and the next measurement."""
