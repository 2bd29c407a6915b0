"""Learning curves in JAX: how test error falls with training data, why, and how many examples reach a target.

The public names are resolved on first use, so that importing one kernel pulls in JAX and nothing else.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
