"""Run the command line with `python -m lcjax`."""

from lcjax.cli import main

main()
