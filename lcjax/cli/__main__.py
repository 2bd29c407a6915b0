"""`python -m lcjax.cli`."""

from lcjax.cli import main

main()
