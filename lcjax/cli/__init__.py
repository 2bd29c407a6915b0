"""Command line: reads options, shows progress, calls `lcjax.studies`, prints and draws the results.

One module per command. JAX and other large packages are imported when a command runs, so that `lcjax --help` is fast.
"""

from lcjax.cli.command import app, main  # isort: skip

# The help lists panels and commands in the order of these imports.
from lcjax.cli.curves import fit, collect, plan, compare, measure, demo  # isort: skip # noqa: F401
from lcjax.cli.theory import predict, simulate, dimension  # isort: skip # noqa: F401
from lcjax.cli.papers import rank, compress, randomize, interpolate  # isort: skip # noqa: F401

__all__ = ["app", "main"]
