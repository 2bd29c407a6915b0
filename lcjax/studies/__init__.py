"""Studies from end to end: data, sweeps, and a record of the results."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
