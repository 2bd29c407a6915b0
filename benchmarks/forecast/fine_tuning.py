"""Benefit of the family of fine-tuning curves for published fine-tuning losses of language models.

The table is one of the CSV files of Lin et al. (2024), with a row for each model and a column for each number of
examples. The losses up to 12,800, 51,200 and 204,800 examples are fitted and the later ones forecast, by the default
families alone and together with `fine_tuning()`.

    python -m benchmarks.forecast.fine_tuning flan.csv docs/results/forecast
"""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.forecast.dimension import score
from benchmarks.forecast.report import round_numbers
from lcjax.curves.forecast.families import FAMILIES, fine_tuning
from lcjax.files import write_json
from lcjax.provenance import environment

__all__ = ["main", "read_losses"]

CUTS = (12_800, 51_200, 204_800)


def read_losses(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of examples, `(s,)`, and the losses of all models, `(b, s)`, without the column of size 0."""
    with path.open(newline="") as file:
        heading, *rows = csv.reader(file)
    columns = [i for i, name in enumerate(heading) if name.isdigit() and int(name) > 0]
    size = np.array([float(heading[i]) for i in columns])
    return size, np.array([[float(row[i]) for i in columns] for row in rows])


def main(arguments: Sequence[str]) -> None:
    path, output = Path(arguments[0]), Path(arguments[1])
    size, loss = read_losses(path)
    result: dict[str, Any] = {}
    for cut in CUTS:
        early = size <= cut
        sizes = np.broadcast_to(size, loss.shape)
        by_name = {
            name: score(sizes[:, early], loss[:, early], sizes[:, ~early], loss[:, ~early], families)
            for name, families in (("without", FAMILIES), ("with", (*FAMILIES, fine_tuning())))
        }
        change = by_name["with"]["log_error"] - by_name["without"]["log_error"]
        result[f"{cut} examples"] = {
            name: {key: float(np.mean(value)) for key, value in scores.items() if name == "with" or key != "weight"}
            for name, scores in by_name.items()
        } | {
            "log_error_change": float(np.mean(change)),
            "standard_error": float(change.std(ddof=1) / len(change) ** 0.5),
        }
        print(cut, result[f"{cut} examples"], flush=True)
    configuration = {"table": path.name, "models": len(loss), "sizes": size.tolist()}
    report = {"configuration": configuration, "environment": environment(), "fitted to": result}
    write_json(output / "fine_tuning.json", round_numbers(report))


if __name__ == "__main__":
    main(sys.argv[1:])
