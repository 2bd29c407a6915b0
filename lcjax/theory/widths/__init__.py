"""Accuracy by bottleneck width: saturation, simultaneous intervals of losses, and weights of dimensions."""
