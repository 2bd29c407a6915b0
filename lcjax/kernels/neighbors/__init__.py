"""Exact nearest neighbors: `nearest_neighbors`, and the search functions that it chooses from."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
