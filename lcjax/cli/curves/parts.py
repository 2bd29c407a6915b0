"""Classes and groups of a collection: their forecasts, and which of them is worst or gains most."""

import dataclasses
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from lcjax.cli.curves.forecasts import Summary, draw_forecasts, print_forecasts

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.curves.metrics import Metric
    from lcjax.curves.readers.csv import CurveTable
    from lcjax.studies.collection.measurements import Measurements
    from lcjax.studies.fitting.fitted_curves import FittedCurves
    from lcjax.studies.fitting.parts import PartRanking
    from lcjax.typing import KeyArray

__all__ = ["FittedParts", "describe_parts", "fit_parts", "note_rising", "without_whole"]

PLURALS = {"class": "classes", "group": "groups"}
_WHOLE = ("all", "overall", "total")


@dataclasses.dataclass(frozen=True)
class FittedParts:
    """The forecasts of all classes, or of all groups.

    Attributes:
        kind: "class" or "group".
        fitted: pooled forecasts.
        curves: their summaries.
        ranking: the parts compared; None for a single one.
        sentence: the comparison in words.
        files: figures.
    """

    kind: str
    fitted: "FittedCurves"
    curves: "list[dict[str, object]]"
    ranking: "PartRanking | None"
    sentence: str
    files: list[Path]

    def fields(self) -> dict[str, object]:
        """Return the summaries and the comparison as plain data for JSON."""
        names, ranking = self.fitted.table.names, self.ranking
        worst = None if ranking is None else dict(zip(names, ranking.worst.tolist(), strict=True))
        gain = ranking and {
            name: {"value": value, "low": low, "high": high}
            for name, value, low, high in zip(
                names, ranking.gain.tolist(), ranking.gain_low.tolist(), ranking.gain_high.tolist(), strict=True
            )
        }
        size = None if ranking is None else ranking.size
        notes = list(self.fitted.table.notes)
        return {"curves": self.curves, "size": size, "worst": worst, "gain_by_doubling": gain, "notes": notes}

    def print(self, console: "Console", unit: str) -> None:
        """Print the table of forecasts, and the comparison."""
        curves: list[Summary] = list(self.curves)
        titles = {"subject": f"Forecasts by {self.kind}", "column": self.kind}
        print_forecasts(console, self.fitted, curves, unit, file="result.json", **titles)
        if self.sentence:
            console.print(self.sentence, markup=False)


def without_whole(table: "CurveTable") -> "CurveTable":
    """Return a table of classes or groups without the curve of all test examples, and a note that says so.

    Args:
        table: curves from a long table; that of all test examples is named "all", "overall" or "total".
    """
    import jax
    import numpy as np

    kept = np.array([name.lower() not in _WHOLE for name in table.names], bool)
    if kept.all() or not kept.any():
        return table
    curve, fitted = jax.tree.map(lambda values: np.asarray(values)[kept], (table.curve, table.fitted))
    names, groups = (tuple(itertools.compress(labels, kept)) for labels in (table.names, table.groups))
    whole = ", ".join(repr(name) for name in itertools.compress(table.names, ~kept))
    notes = (*table.notes, f"Left out: {whole}, the curve of all test examples, because its parts have their own.")
    return dataclasses.replace(table, curve=curve, fitted=fitted, names=names, groups=groups, notes=notes)


def note_rising(table: "CurveTable") -> "tuple[CurveTable, bool]":
    """Return a table of several curves with a note on those that rise, and True if only some do.

    The error of a class may rise by chance; if all rise, they are probably values of another metric.

    Args:
        table: curves of related data, such as classes.
    """
    import numpy as np

    from lcjax.curves.answer.plausibility import check_rise
    from lcjax.text import printable

    rising = []
    size, error = (np.asarray(values, float) for values in (table.curve.size, table.curve.error))
    for name, sizes, errors, fitted in zip(table.names, size, error, table.fitted, strict=True):
        used = fitted & ~np.isnan(errors)
        try:
            check_rise("", sizes[used], errors[used], table.metric)
        except ValueError:
            rising.append(printable(name))
    if not rising or len(rising) == len(table.names):
        return table, False
    worsens = "falls" if table.metric.rises else "rises"
    note = f"The {table.metric.name} {worsens} with size for {len(rising)} of {len(table.names)} curves: "
    return dataclasses.replace(table, notes=(*table.notes, f"{note}{', '.join(rising)}.")), True


def describe_parts(fitted: "FittedCurves", ranking: "PartRanking | None" = None) -> str:
    """Return which of several pooled curves is worst with more data, and which gains most, in words.

    Args:
        fitted: the curves.
        ranking: the curves compared, if that is known.
    """
    import numpy as np

    from lcjax.curves.answer.plausibility import is_share
    from lcjax.studies.fitting.parts import rank_parts
    from lcjax.text import printable

    metric = fitted.table.metric
    percent = is_share(metric, np.asarray(fitted.table.curve.error, float))
    names = tuple(map(printable, fitted.table.names))
    return (ranking or rank_parts(fitted)).sentence(names, percent=percent, metric=metric)


def fit_parts(
    key: "KeyArray", measurements: "Measurements", metric: "Metric", error: float | None, folder: Path, unit: str
) -> list[FittedParts]:
    """Forecast the classes and the groups on which trainings report a metric, and draw them.

    Args:
        key: typed key.
        measurements: the trainings.
        metric: the metric.
        error: target error, or None.
        folder: folder of the figures.
        unit: what a size counts.
    """
    import jax

    from lcjax.studies.fitting.fitted_curves import fit_learning_curves
    from lcjax.studies.fitting.parts import rank_parts
    from lcjax.studies.fitting.summary import summary

    found = []
    for place, (kind, plural) in enumerate(PLURALS.items(), start=1):
        if not any(part[0] == metric.name and part[place] for part in measurements.parts):
            continue
        table = measurements.part_curves(kind, metric)
        fitted = fit_learning_curves(
            jax.random.fold_in(key, place), table, target_error=error, allow_rising=True, pooled=True
        )
        ranking = rank_parts(fitted) if len(table.names) > 1 else None
        sentence = "" if ranking is None else describe_parts(fitted, ranking)
        files = draw_forecasts(fitted, folder / plural, unit)
        found.append(FittedParts(kind, fitted, summary(fitted), ranking, sentence, files))
    return found
