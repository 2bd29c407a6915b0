"""Plans of data collection: how much to collect in each round, at the least expected cost."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
