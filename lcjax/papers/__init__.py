"""Numbers printed in the papers whose experiments lcjax repeats; one module per paper, data only."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
