"""Names of the values that a training reports: a metric, overall, by class or by group, its standard error or count."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Float

__all__ = ["Quantity", "parse_quantity", "tabulate"]

_KINDS = {"classes.": "label", "groups.": "group"}
_STATISTICS = ("value", "standard_error", "count")


@dataclasses.dataclass(frozen=True, order=True)
class Quantity:
    """Meaning of one number of a training.

    Attributes:
        metric: name of the metric; "" if only one can be meant.
        label: class on whose test examples it was measured, "" for all.
        group: group on whose test examples it was measured, "" for all.
        statistic: "value", "standard_error" of the value, or "count" of the test examples behind it.
    """

    metric: str
    label: str = ""
    group: str = ""
    statistic: str = "value"


def parse_quantity(name: str) -> Quantity:
    """Return what a name means: METRIC, classes.CLASS.METRIC or groups.GROUP.METRIC, and a statistic behind a dot.

    Examples:
        >>> parse_quantity("error.standard_error")
        Quantity(metric='error', label='', group='', statistic='standard_error')
        >>> parse_quantity("classes.St. Bernard.recall")
        Quantity(metric='recall', label='St. Bernard', group='', statistic='value')
    """
    fields: dict[str, str] = {}
    for statistic in _STATISTICS:
        if name.endswith(f".{statistic}"):
            name, fields["statistic"] = name.removesuffix(f".{statistic}"), statistic
            break
    for prefix, kind in _KINDS.items():
        if name.startswith(prefix) and len(name) > len(prefix):
            part, _, metric = name.removeprefix(prefix).rpartition(".")
            return Quantity(metric if part else "", **{kind: part or metric}, **fields)
    return Quantity(name, **fields)


def tabulate(reports: Iterable[Mapping[str, float]]) -> dict[tuple[str, str, str], dict[str, Float[np.ndarray, " n"]]]:
    """Return the values, standard errors and counts of each metric, class and group, in the order of their names.

    Args:
        reports: numbers by name of each of n trainings.

    Examples:
        >>> table = tabulate([{"error": 0.2, "classes.a": 0.1, "classes.b.count": 0.0}])
        >>> {key: columns["value"].tolist() for key, columns in table.items()}
        {('error', '', ''): [0.2], ('error', 'a', ''): [0.1], ('error', 'b', ''): [nan]}
    """
    reports = list(reports)
    names = {name: parse_quantity(name) for name in dict.fromkeys(name for report in reports for name in report)}
    overall = {one.metric for one in names.values() if not (one.label or one.group)} - {"cost"}
    implied = next(iter(overall)) if len(overall) == 1 else "error"
    table: dict[tuple[str, str, str], dict[str, np.ndarray]] = {}
    for name, one in names.items():
        key = one.metric or implied, one.label, one.group
        columns = table.setdefault(key, {kind: np.full(len(reports), np.nan) for kind in _STATISTICS})
        given = np.array([report.get(name, np.nan) for report in reports], float)
        columns[one.statistic] = np.where(np.isnan(given), columns[one.statistic], given)
    return dict(sorted(table.items()))
