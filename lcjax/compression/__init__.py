"""Smaller nets: pruning and fixed-point quantization of any pytree of weights, and the accuracy that they cost."""
