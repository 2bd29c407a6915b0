"""Compute-optimal numbers of parameters and tokens, by the three approaches of Hoffmann et al. (2022)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
