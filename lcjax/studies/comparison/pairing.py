"""Repeats of several curves that correspond to each other, by their names in a file."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.readers.csv import CurveTable
from lcjax.curves.readers.sources import open_table

__all__ = ["align_repeats", "name_repeats"]

_REPEAT = ("repeat", "seed")


def name_repeats(path: Path, table: CurveTable) -> list[list[str] | None]:
    """Return the names of the repeats of every curve of a file, in the order of its replicates; None if not known.

    Names are known in files with columns `size`, `repeat` (or `seed`) and the metric or `value`, such as those of
    `lcjax collect`.

    Args:
        path: the file.
        table: its curves.
    """
    rows = open_table(str(path))
    place = {name.strip().lower(): i for i, name in reversed(list(enumerate(rows.heading)))}
    repeat = next((place[name] for name in _REPEAT if name in place), None)
    value = place.get(table.metric.name.lower(), place.get("value"))
    if repeat is None or value is None or table.curve.replicates is None:
        return [None] * len(table.names)
    cells = {name: rows.cells(i) for name, i in place.items()}
    labels, values = rows.cells(repeat), rows.cells(value)
    found: dict[str, dict[str, None]] = {name: {} for name in table.names}
    for i, label in enumerate(labels):
        other_metric = "metric" in cells and cells["metric"][i].lstrip("'") != table.metric.name
        part = any(cells[kind][i].strip() for kind in ("class", "group") if kind in cells and "metric" in cells)
        curve = " ".join(cells["curve"][i].split()) if "curve" in cells else ""
        if label.strip() and values[i].strip() and not (other_metric or part) and curve in found:
            found[curve].setdefault(label.strip())
    count = (~np.isnan(np.asarray(table.curve.replicates, float)).all(axis=2)).sum(axis=1)
    return [list(found[name]) if len(found[name]) == n else None for name, n in zip(table.names, count, strict=True)]


def align_repeats(
    curves: Mapping[str, LearningCurve], names: Mapping[str, Sequence[str] | None]
) -> dict[str, LearningCurve] | None:
    """Give repeats of one name the same row in all curves; None if a curve with repeats has unknown names.

    Args:
        curves: the curves.
        names: names of the repeats of each curve, in the order of its replicates.

    Examples:
        >>> size, rows = np.array([10.0]), np.array([[0.3], [0.4]])
        >>> curves = {name: LearningCurve(size, rows.mean(axis=0), replicates=rows) for name in "ab"}
        >>> aligned = align_repeats(curves, {"a": ["0", "1"], "b": ["1", "2"]})
        >>> aligned["a"].replicates.ravel().tolist(), aligned["b"].replicates.ravel().tolist()
        ([0.3, 0.4, nan], [nan, 0.3, 0.4])
    """
    known = {name: labels for name, labels in names.items() if labels is not None}
    if any(curve.replicates is not None and name not in known for name, curve in curves.items()):
        return None
    union = list(dict.fromkeys(label for labels in known.values() for label in labels))
    aligned = {}
    for name, curve in curves.items():
        rows = np.full((len(union), len(np.asarray(curve.size))), np.nan)
        if curve.replicates is not None:
            for label, row in zip(known[name], np.asarray(curve.replicates, float), strict=False):
                rows[union.index(label)] = row
        aligned[name] = dataclasses.replace(curve, replicates=None if curve.replicates is None else rows)
    return aligned
