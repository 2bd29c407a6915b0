"""Answers from the joint draws of a forecast: the size for a target, the assured size, and the next measurement."""
