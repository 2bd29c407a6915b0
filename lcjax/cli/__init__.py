"""The command line: reads options, shows progress, hands over to `lcjax.studies`, prints and draws what comes back.

One module a command. Nothing heavy is imported before a command runs, so that `lcjax --help` answers at once.
"""

from lcjax.cli import predict, measure, rank, dimension, fit, simulate, randomize, interpolate, compress  # noqa: F401, I001  the order of the help
from lcjax.cli.common import app, main

__all__ = ["app", "main"]
