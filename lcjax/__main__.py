"""Entry point of `lcjax` and of `python -m lcjax`."""

from lcjax.interruption import run_to_exit

__all__ = ["main"]


def main() -> None:
    """Run the command line; signals are caught before any large package is imported."""

    def run() -> None:
        from lcjax.cli import main as run_command

        run_command()

    run_to_exit(run)


if __name__ == "__main__":
    main()
