"""The command line: reads options, shows progress, hands over to `lcjax.studies`, prints and draws what comes back.

One module a command. Nothing heavy is imported before a command runs, so that `lcjax --help` answers at once.
"""

# Commands are listed by the help in the order of these imports.
from lcjax.cli.theory import predict  # noqa: F401, I001
from lcjax.cli.curves import measure  # noqa: F401
from lcjax.cli.papers import rank  # noqa: F401
from lcjax.cli.theory import dimension  # noqa: F401
from lcjax.cli.curves import fit  # noqa: F401
from lcjax.cli.theory import simulate  # noqa: F401
from lcjax.cli.papers import randomize  # noqa: F401
from lcjax.cli.papers import interpolate  # noqa: F401
from lcjax.cli.papers import compress  # noqa: F401
from lcjax.cli.options import app, main

__all__ = ["app", "main"]
