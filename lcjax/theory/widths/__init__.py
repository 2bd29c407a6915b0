"""Accuracy by bottleneck width: saturation, simultaneous intervals for lost accuracy, and weights of dimensions."""
