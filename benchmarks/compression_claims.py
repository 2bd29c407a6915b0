"""Claims of Sharma et al. (2019) that hold: `python -m benchmarks.compression_claims docs/results/compress-*`.

Reads the output of `lcjax compress` and prints two Markdown tables: the verdicts by claim and data set, and the ratios
with and without the data-dependent term, for the network and pair of losses where they differ most.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any


def read(folders: list[str]) -> list[dict[str, Any]]:
    """Return all verdicts, with a short name of the data set."""
    found = []
    for folder in folders:
        result = json.loads((Path(folder) / "compress.json").read_text())
        found += [{**verdict, "set": Path(folder).name.removeprefix("compress-")} for verdict in result["verdicts"]]
    return found


def counts(verdicts: list[dict[str, Any]]) -> str:
    """Return a table of claims by data set: for how many networks and losses each holds, of how many."""
    sets = list(dict.fromkeys(verdict["set"] for verdict in verdicts))
    cells: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for verdict in verdicts:
        cells[verdict["claim"], verdict["set"]].append(verdict["holds"])
    lines = [f"| claim | {' | '.join(sets)} |", "|---" * (len(sets) + 1) + "|"]
    for claim in dict.fromkeys(verdict["claim"] for verdict in verdicts):
        row = [f"{sum(cells[claim, name])} of {len(cells[claim, name])}" for name in sets]
        lines.append(f"| {claim} | {' | '.join(row)} |")
    return "\n".join(lines)


def largest(verdicts: list[dict[str, Any]], claim: str = "compresses further at equal accuracy") -> str:
    """Return the ratio without and with the term, for each data set and network where they differ most."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for verdict in verdicts:
        key = verdict["set"], verdict["model"]
        if verdict["claim"] == claim and verdict["before"] and (
            key not in rows or verdict["after"] / verdict["before"] > rows[key]["after"] / rows[key]["before"]
        ):  # fmt: skip
            rows[key] = verdict
    lines = ["| set | net | losses | ratio without | with | p |", "|---" * 6 + "|"]
    for (name, model), row in rows.items():
        numbers = f"{row['before']:.1f} | {row['after']:.1f} | {row['pvalue']:.2g}"
        lines.append(f"| {name} | {model} | {row['losses']} | {numbers} |")
    return "\n".join(lines)


def main(folders: list[str]) -> None:
    """Print both tables."""
    if not folders:
        raise SystemExit("Pass the folders that `lcjax compress` wrote.")
    verdicts = read(folders)
    print(counts(verdicts), largest(verdicts), sep="\n\n")


if __name__ == "__main__":
    main(sys.argv[1:])
