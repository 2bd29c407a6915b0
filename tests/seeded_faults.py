"""Seed small faults in the library, one at a time, and count those that the mirrored default tests catch.

A fault changes one operator, sign, comparison, index or default value inside a function. Faults are drawn from a fixed
seed, at most one per module, among the modules that have a mirrored test file: `lcjax/theory/laws.py` is tested by
`tests/theory/test_laws.py`. The library is copied first; the checkout is not touched.

    python -m tests.seeded_faults [--count 40] [--seed 0] [--least 34] [--only PATTERN]
"""

import argparse
import ast
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
_OPERATORS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}


class Fault(NamedTuple):
    """A replacement of the source text between two offsets."""

    line: int
    start: int
    end: int
    old: str
    new: str


def faults_of(source: str) -> list[Fault]:
    """List every fault that can be seeded in the functions of a module."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))
    text = source.encode()

    def offset(line: int, column: int) -> int:
        return starts[line - 1] + column

    def between(left: ast.expr, right: ast.expr, operator: ast.AST) -> Iterator[Fault]:
        old, new = _OPERATORS.get(type(operator), ("", ""))
        first = offset(left.end_lineno or 0, left.end_col_offset or 0)
        place = text.find(old.encode(), first, offset(right.lineno, right.col_offset)) if old else -1
        if place >= 0:
            yield Fault(left.end_lineno or 0, place, place + len(old), old, new)

    def constant(node: ast.expr) -> Iterator[Fault]:
        if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
            changed = not node.value if isinstance(node.value, bool) else node.value + 1
            start, end = offset(node.lineno, node.col_offset), offset(node.end_lineno or 0, node.end_col_offset or 0)
            yield Fault(node.lineno, start, end, text[start:end].decode(), repr(changed))

    def within(node: ast.AST) -> Iterator[Fault]:
        if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr):
            return
        if isinstance(node, ast.FunctionDef):
            for default in [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]:
                yield from constant(default)
            for statement in node.body:
                yield from within(statement)
            return
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                yield from within(node.value)
            return
        if isinstance(node, ast.BinOp):
            yield from between(node.left, node.right, node.op)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            yield from between(node.left, node.comparators[0], node.ops[0])
        elif isinstance(node, ast.BoolOp):
            yield from between(node.values[0], node.values[1], node.op)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            start = offset(node.lineno, node.col_offset)
            yield Fault(node.lineno, start, start + 1, "-", "+")
        elif isinstance(node, ast.Subscript):
            yield from constant(node.slice)
        for child in ast.iter_child_nodes(node):
            yield from within(child)

    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return sorted({fault for function in functions for fault in within(function)})


def draw(count: int, seed: int, only: str) -> list[tuple[Path, Fault]]:
    """Draw the faults: modules without replacement, then one fault in each."""
    generator = random.Random(seed)
    modules = []
    for path in sorted((ROOT / "lcjax").rglob("*.py")):
        faults = faults_of(path.read_text())
        if faults and _tests_of(path).exists() and only in str(path):
            modules.append((path, faults))
    generator.shuffle(modules)
    return [(path, generator.choice(faults)) for path, faults in modules[:count]]


def _tests_of(path: Path) -> Path:
    module = path.relative_to(ROOT / "lcjax")
    return ROOT / "tests" / module.parent / f"test_{module.name}"


def is_caught(folder: Path, path: Path, fault: Fault) -> bool:
    """Run the mirrored default tests of a copy with the fault; report whether one of them fails."""
    copy = folder / path.relative_to(ROOT)
    source = copy.read_bytes()
    copy.write_bytes(source[: fault.start] + fault.new.encode() + source[fault.end :])
    tests = str(_tests_of(path).relative_to(ROOT))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", tests]
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 1
    finally:
        copy.write_bytes(source)


def main() -> None:
    """Seed the faults and print a table; exit with 1 if too few are caught."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40, help="number of faults")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    parser.add_argument("--least", type=int, default=34, help="number that must be caught")
    parser.add_argument("--only", default="", help="part of the path of the modules")
    options = parser.parse_args()
    caught = 0
    faults = draw(options.count, options.seed, options.only)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "copy")
        shutil.copytree(
            ROOT, folder, ignore=shutil.ignore_patterns(".git", ".venv", "results", ".*cache", "__pycache__")
        )
        for number, (path, fault) in enumerate(faults, 1):
            began = time.perf_counter()
            fails = is_caught(folder, path, fault)
            caught += fails
            place = f"{path.relative_to(ROOT)}:{fault.line}"
            verdict = "caught" if fails else "MISSED"
            seconds = time.perf_counter() - began
            print(f"{number:3d} {verdict} {place}: {fault.old} -> {fault.new} ({seconds:.0f} s)", flush=True)
    print(f"{caught} of {len(faults)} faults caught; at least {options.least} wanted")
    sys.exit(caught < options.least)


if __name__ == "__main__":
    main()
