"""Smaller nets: pruning and fixed-point quantization of any pytree of weights, and the accuracy that they cost."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
