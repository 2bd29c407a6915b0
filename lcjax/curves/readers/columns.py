"""Columns of tables of learning curves, recognized by their headings or chosen by name."""

import dataclasses
from collections.abc import Mapping, Sequence

from lcjax.curves.metrics import ERROR, METRICS, Metric
from lcjax.curves.readers.headings import Heading, curve_label, is_error, parse_heading
from lcjax.tables.table import Table

__all__ = ["Choice", "Columns", "find_columns", "find_heading", "is_seed", "naming_columns", "spread_kind"]

BENCHMARK = ("domain", "task", "model")  # which name a curve of the public benchmark

# Documented headings, in lower case with single spaces for underscores.
_HEADINGS = {
    "size": ("size", "examples", "training examples", "seen examples"),
    "error": ("error", "loss"),
    "repeat": ("repeat", "repeats", "seed"),
    "curve": ("curve", "curve id"),
    "test_count": ("test count",),
    "training": ("training",),
}
_LONG = ("metric", "value")  # headings of a long table, with a row for each metric
_REPEATS = {
    *("repeat", "repeats", "replicate", "rep", "seed", "seeds", "random seed", "random state", "run seed", "data seed"),
    *("trial", "fold", "cv fold", "split seed", "rng"),
}
_COUNTS = {f"{first} {what}" for first in ("n", "num", "number of") for what in ("repeats", "seeds", "runs", "trials")}
_SEEDS = ("seed", "run", "rep", "repeat", "trial", "fold", "split", "replicate", "s", "r")
_OTHER = {  # of columns with numbers that are no errors
    *("time", "seconds", "runtime", "duration", "minutes", "hours", "cost", "price", "lr", "rate", "epoch", "epochs"),
    *("params", "parameters", "flops", "memory", "gpu", "batch", "width", "depth", "id", "date", "timestamp", "seed"),
    *("index", "rank", "weight", "decay", "dropout", "train", "training", "unnamed"),
}


@dataclasses.dataclass(frozen=True)
class Choice:
    """Columns that the user names; None where they are recognized.

    Attributes:
        size: column of the numbers of training examples.
        metric: column of the values.
        repeat: column that identifies repeats.
        curve: columns that name the curves.
        select: values that the rows to read have, by column.
    """

    size: str | None = None
    metric: str | None = None
    repeat: str | None = None
    curve: Sequence[str] = ()
    select: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Columns:
    """Columns by their role.

    Attributes:
        place: position of the column of each role: "size", "error", "repeat", "curve", "test_count", "training",
            "metric" (of a long table), "spread" and "count" (a standard deviation or error, and its repeats).
        metric: metric of the values; None in a long table without a choice.
        values: columns of values, several in a table with a column for each repeat or curve.
        labels: what each of several columns is: a repeat or a curve.
        are_repeats: True if they are repeats.
        repeats: columns that together number the repeats, if there are several.
        curves: columns that together name the curves, if the user names them.
        notes: what was inferred, one sentence each.
    """

    place: Mapping[str, int]
    metric: Metric | None
    values: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    are_repeats: bool = False
    repeats: tuple[int, ...] = ()
    curves: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def find_columns(table: Table, metric: Metric | None = None, choice: Choice | None = None) -> Columns:
    """Return the columns of a table by their role.

    Args:
        table: the table; its cells tell columns of numbers from others.
        metric: metric of the values; by default an error or a loss, or else the only other known metric.
        choice: columns that the user names.

    Raises:
        ValueError: there is no column, or there are several, for a role; the message lists them and the options.

    Examples:
        >>> heading = ["n_train", "test_error", "seed"]
        >>> find_columns(Table("a.csv", heading, [["10"], ["0.5"], ["1"]], [2])).place
        {'repeat': 2, 'size': 0, 'error': 1}
        >>> find_columns(Table("a.csv", ["size", "test_error", "val_error"], [["10"], ["0.5"], ["0.4"]], [2]))
        Traceback (most recent call last):
        ValueError: its columns 'test_error', 'val_error' may each be the error; pass --metric-column test_error or ...
    """
    choice = Choice() if choice is None else choice
    if table.heading == ["", ""]:
        note = "The file has no heading; its first column is used as size, the second as error."
        return Columns({"size": 0, "error": 1}, metric or ERROR, (1,), notes=(note,))
    search = _Search(table, metric, choice)
    search.find_chosen()
    search.find_documented()
    search.find_size()
    search.find_repeats()
    if "error" not in search.place:
        search.find_values()
    if not {"size", "error"} <= set(search.place):
        raise ValueError(_explain_missing(search))
    search.find_spread()
    return search.columns()


class _Search:
    """The search for columns: what is known so far."""

    def __init__(self, table: Table, metric: Metric | None, choice: Choice) -> None:
        self.table, self.metric, self.choice = table, metric, choice
        self.names = [" ".join(cell.lower().replace("_", " ").split()) for cell in table.heading]
        self.headings = [parse_heading(cell) for cell in table.heading]
        self.place: dict[str, int] = {}
        self.values: tuple[int, ...] = ()
        self.labels: tuple[str, ...] = ()
        self.are_repeats = False
        self.repeats: tuple[int, ...] = ()
        self.curves: tuple[int, ...] = ()
        self.notes: list[str] = []

    def columns(self) -> Columns:
        values, notes = self.values or (self.place["error"],), tuple(self.notes)
        names = (values, self.labels, self.are_repeats, self.repeats, self.curves)
        return Columns(self.place, self.metric, *names, notes)

    def find_chosen(self) -> None:
        """Find the columns that the user names."""
        chosen = {"size": self.choice.size, "error": self.choice.metric, "repeat": self.choice.repeat}
        curves = [find_heading(self.table, name, "--curve-column") for name in self.choice.curve]
        self.place |= {"curve": curves[0]} if curves else {}
        self.curves = tuple(curves)
        for role, name in chosen.items():
            if name is not None:
                option = "metric" if role == "error" else role
                self.place[role] = find_heading(self.table, name, f"--{option}-column")
        if self.choice.metric is not None and self.metric is None:
            known = self.headings[self.place["error"]].metric
            if not known and self.choice.metric.lower() not in METRICS:
                raise ValueError(
                    f"--metric-column {self.choice.metric}: pass --metric too, such as error, loss or accuracy, so that "
                    "it is known whether larger values are better"
                )
            self.metric = _metric_of(known or self.choice.metric.lower())

    def find_documented(self) -> None:
        """Find the columns that docs/fit.md names."""
        if set(_LONG) <= set(self.names) and "error" not in self.place:
            self.place |= {role: self._only(name) for role, name in (("metric", "metric"), ("error", "value"))}
        is_any = self.metric is None
        own = "" if self.metric is None else self.metric.name.lower().replace("_", " ")
        errors = _HEADINGS["error"] if is_any or self.metric == ERROR else (own,)
        for role, known in {**_HEADINGS, "error": errors}.items():
            for name in known:
                if name in self.names and role not in self.place:
                    self.place[role] = self._only(name)
                elif self.names.count(name) > 1:
                    self._only(name)
        if is_any and "error" in self.place and "metric" not in self.place:
            self.metric = ERROR

    def _only(self, name: str) -> int:
        if self.names.count(name) > 1:
            raise ValueError(f"{self.names.count(name)} of its columns are named {name}; rename all but one.")
        return self.names.index(name)

    def find_size(self) -> None:
        """Find the column of sizes by its words."""
        if "size" in self.place:
            return
        found = [i for i, heading in enumerate(self.headings) if heading.is_size and i not in self.place.values()]
        self._take("size", found, "size", "size")

    def find_repeats(self) -> None:
        """Find the columns that number the repeats; several do so together."""
        if "repeat" in self.place:
            return
        found = [i for i, heading in enumerate(self.headings) if heading.text in _REPEATS]
        self._take("repeat", found[:1], "repeat", "repeat")
        self.repeats = tuple(found)
        if len(found) > 1:
            names = ", ".join(repr(self.table.heading[i]) for i in found)
            self.notes[-1] = f"The columns {names} together are used as repeat."

    def _take(self, role: str, found: Sequence[int], what: str, option: str) -> None:
        if len(found) > 1:
            names = [self.table.heading[i] for i in found]
            raise ValueError(
                f"its columns {', '.join(map(repr, names))} may each be the {what}; pass --{option}-column {names[0]} "
                f"or --{option}-column {names[1]}"
            )
        if found:
            self.place[role] = found[0]
            self.notes.append(f"The column {self.table.heading[found[0]]!r} is used as {what}.")

    def find_values(self) -> None:
        """Find the column or columns of values by their words, or else take all columns of numbers."""
        groups: dict[tuple[str, bool], list[int]] = {}
        for i, heading in enumerate(self.headings):
            if i in self.place.values() or not heading.metric or heading.is_spread or heading.part == "train":
                continue
            groups.setdefault((heading.metric, bool(heading.rest)), []).append(i)
        for is_wide in (False, True):
            of_kind = {name: found for (name, wide), found in groups.items() if wide == is_wide}
            chosen = self._choose(of_kind)
            if chosen and not is_wide:
                self._take("error", chosen, self._named(), "metric")
            elif chosen:
                self._take_several(chosen)
            if chosen:
                return
        self._take_numbers()

    def _choose(self, groups: Mapping[str, list[int]]) -> list[int]:
        """Return the columns of the metric, and set it if it is not known."""
        if self.metric is not None and self.metric != ERROR:
            return groups.get(self.metric.name, [])
        errors = [i for name, found in groups.items() if is_error(_metric_of(name)) for i in found]
        if errors or self.metric is not None:
            self.metric = ERROR
            return sorted(errors)
        if len(groups) > 1:
            names = list(groups)
            raise ValueError(f"it has the metrics {', '.join(names)}; pass --metric {names[0]} or --metric {names[1]}")
        for name, found in groups.items():
            self.metric = _metric_of(name)
            return found
        return []

    def _named(self) -> str:
        return "error" if self.metric is None else self.metric.name

    def _take_several(self, found: Sequence[int]) -> None:
        """Take a column for each repeat or curve."""
        parts = {(self.headings[i].metric, self.headings[i].part) for i in found}
        if len(parts) > 1:
            names = [self.table.heading[i] for i in found]
            raise ValueError(
                f"its columns {', '.join(map(repr, names[:6]))} are of several metrics or parts of the data; pass "
                "--metric NAME, or --metric-column NAME for one of them"
            )
        if len(found) == 1:
            self._take("error", found, self._named(), "metric")
            return
        self._melt(found, [curve_label(self.table.heading[i]) for i in found])

    def _take_numbers(self) -> None:
        """Take all other columns of numbers, which are repeats or curves, if there are several."""
        if "size" not in self.place:
            return
        others = [i for i in range(len(self.names)) if i not in self.place.values() and not self.headings[i].is_spread]
        found = [i for i in others if self.table.is_numeric(i)]
        foreign = [i for i in found if set(self.headings[i].words) & _OTHER and not is_seed(self.table.heading[i])]
        if len(found) < 2 or foreign or any(self.headings[i].metric or self.headings[i].is_time for i in found):
            return
        if self.metric is None:
            self.metric = ERROR
        self._melt(found, [self.table.heading[i] for i in found])

    def _melt(self, found: Sequence[int], labels: Sequence[str]) -> None:
        names = ", ".join(repr(self.table.heading[i]) for i in found[:6]) + (", ..." if len(found) > 6 else "")
        self.are_repeats = all(map(is_seed, labels)) and "repeat" not in self.place
        if not self.are_repeats and "curve" in self.place:
            raise ValueError(f"its columns {names} and {self.table.heading[self.place['curve']]!r} both name curves")
        what = "repeats" if self.are_repeats else "curves"
        self.place["error"], self.values, self.labels = found[0], tuple(found), tuple(labels)
        self.notes.append(f"The columns {names} are read as {what} of one {self._named()} each.")

    def find_spread(self) -> None:
        """Find a standard deviation or error of the values, which needs the number of repeats."""
        spreads = [i for i, heading in enumerate(self.headings) if heading.is_spread and i not in self.place.values()]
        counts = [i for i, heading in enumerate(self.headings) if heading.text in _COUNTS]
        usable = [i for i in spreads if spread_kind(self.headings[i]) and not self.values]
        if len(usable) == 1 and len(counts) == 1:
            self.place |= {"spread": usable[0], "count": counts[0]}
            spreads.remove(usable[0])
        if spreads:
            named = ", ".join(repr(self.table.heading[i]) for i in spreads[:6])
            remedy = "" if "spread" in self.place else "; give repeats as rows, or their number in a column n_repeats"
            self.notes.append(f"Not used: {named}. The noise is estimated from the errors{remedy}.")


def naming_columns(table: Table, place: Mapping[str, int]) -> list[int]:
    """Return the columns that together name the curve of each row.

    They are the column of curves, or those of the public benchmark: domain, task and model.

    Examples:
        >>> naming_columns(Table("a.csv", ["size", "error", "Model"], [[], [], []], []), {"size": 0, "error": 1})
        [2]
    """
    names = [cell.lower() for cell in table.heading]
    others = [i for role, i in place.items() if role != "curve"]
    found = [names.index(name) for name in BENCHMARK if name in names and names.index(name) not in others]
    if "curve" in place and ("training" not in place or len(found) < len(BENCHMARK)):
        return [place["curve"]]
    return found


def spread_kind(heading: Heading) -> str:
    """Return "deviation" for a standard deviation, "error" for a standard error, and "" for other spreads.

    Examples:
        >>> spread_kind(parse_heading("error_std")), spread_kind(parse_heading("sem")), spread_kind(parse_heading("ci"))
        ('deviation', 'error', '')
    """
    words = set(heading.words)
    if words & {"se", "sem", "stderr", "sterr"} or "standard error" in heading.text:
        return "error"
    return "deviation" if words & {"std", "stdev", "stddev", "sd", "deviation"} else ""


def is_seed(label: str) -> bool:
    """Return True for the name of a repeat, such as "seed 3", "run_1" or a number.

    Examples:
        >>> [is_seed(label) for label in ("seed0", "Run 2", "3", "resnet18")]
        [True, True, True, False]
    """
    words = parse_heading(label).words
    text = "".join(words)
    name = text.rstrip("0123456789")
    return len(text) > len(name) and name in ("", *_SEEDS)


def find_heading(table: Table, name: str, option: str) -> int:
    """Return the position of a column that the user names, exactly or else in lower case.

    Raises:
        ValueError: there is no such column, or there are several.

    Examples:
        >>> find_heading(Table("a.csv", ["Size", "error"], [[], []], []), "size", "--size-column")
        0
    """
    exact = [i for i, cell in enumerate(table.heading) if cell == name]
    found = exact or [i for i, cell in enumerate(table.heading) if cell.lower() == name.lower()]
    if len(found) != 1:
        many = f"{len(found)} columns" if found else "no column"
        raise ValueError(f"{option}: it has {many} {name!r}; its columns are {', '.join(table.heading)}")
    return found[0]


def _metric_of(name: str) -> Metric:
    """Return a metric by name; an error or loss is `ERROR`, the name by which errors are reported."""
    metric = METRICS[name]
    return ERROR if is_error(metric) else metric


def _explain_missing(search: _Search) -> str:
    """Return a message on a missing size or error, with the likely remedy."""
    table, place, metric = search.table, search.place, search.metric
    name = "error" if metric is None else metric.name
    missing = [word for role, word in {"size": "size", "error": name}.items() if role not in place]
    others = [cell for i, cell in enumerate(table.heading) if cell and i not in place.values()]
    numbers = [cell for cell in others if cell.replace(".", "", 1).isdigit()]
    listed = ", ".join(table.heading[:30]) + (", ..." if len(table.heading) > 30 else "")
    if numbers and len(numbers) == len(table.heading):
        return f"its first line, {listed}, holds numbers; put a heading such as size,{name} before it"
    hint = "Rename the columns, or name them with --size-column and --metric-column (and --metric)."
    times = [cell for cell, heading in zip(table.heading, search.headings, strict=True) if heading.is_time]
    if "size" not in place and times:
        hint = (
            f"{times[0]!r} counts steps of a training, not training examples: export a table with a row for each run "
            f"and its number of examples, or, for a curve over steps, pass --size-column {times[0]!r} --unit steps"
            f"{'' if 'error' in place else ' and name the values with --metric-column'}."
        )
    return (
        f"it has no column {' and no column '.join(missing)}; its columns are {listed}. Expected size, "
        f"{name} (and repeat, curve, test_count), or the benchmark's Domain, Task, Model, Seen Examples, Loss, "
        f"Training. {hint}"
    )
