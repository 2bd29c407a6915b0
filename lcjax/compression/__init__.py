"""Smaller networks: pruning and fixed-point quantization of any pytree of weights, and their cost in accuracy."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
