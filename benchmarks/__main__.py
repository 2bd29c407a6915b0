"""List the benchmarks, or run one by name: `python -m benchmarks sweep speed --rounds 3`."""

import ast
import runpy
import sys
from pathlib import Path

__all__ = ["descriptions", "main"]


def descriptions() -> dict[str, str]:
    """Return the first docstring line of every benchmark without the command at its end; nothing is imported."""
    lines = {}
    folder = Path(__file__).parent
    for path in sorted([*folder.glob("[!_]*.py"), *folder.glob("*/__main__.py")]):
        source = path.read_text(encoding="utf-8")
        if "\nif __name__ ==" in source:  # the harness is not a benchmark
            first = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
            name = path.parent.name if path.name == "__main__.py" else path.stem
            lines[name] = first.partition(": `python -m")[0].rstrip(".") + "."
    return lines


def main(arguments: list[str]) -> None:
    """Print the list, or run the named benchmark with the remaining arguments.

    Raises:
        SystemExit: no benchmark has this name.
    """
    benchmarks = descriptions()
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: python -m benchmarks NAME [ARGUMENTS ...]\n")
        for name, description in benchmarks.items():
            print(f"{name:20} {description}")
        return
    name, *rest = arguments
    if name not in benchmarks:
        raise SystemExit(f"No benchmark {name!r}. Benchmarks: {', '.join(benchmarks)}.")
    sys.argv[1:] = rest
    runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
