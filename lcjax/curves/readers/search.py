"""Search for the columns of sizes, values, repeats and curves, by their headings or the user's choice."""

import re
from collections.abc import Mapping, Sequence

from lcjax.curves.metrics import ERROR, METRICS, Metric
from lcjax.curves.readers.columns import Choice, Columns, find_heading, spread_kind
from lcjax.curves.readers.headings import curve_label, is_error, parse_heading
from lcjax.curves.readers.losses import check_losses, metrics_of
from lcjax.tables.table import Table

__all__ = ["find_columns"]

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
_SEED = re.compile(
    r"^[0-9]+$|(?:^|[-_ /.:|,(])(?:seed|run|rep|repeat|trial|fold|split|replicate)[-_ =:]*[0-9]+\)?$", re.IGNORECASE
)
_LONGEST = 200  # characters of a label that are searched for a seed
_OTHER = {  # of columns with numbers that are no errors
    *("time", "seconds", "runtime", "duration", "minutes", "hours", "cost", "price", "lr", "rate", "epoch", "epochs"),
    *("params", "parameters", "flops", "memory", "gpu", "batch", "width", "depth", "id", "date", "timestamp", "seed"),
    *("index", "rank", "weight", "decay", "dropout", "train", "training", "unnamed"),
}


def find_columns(table: Table, metric: Metric | None = None, choice: Choice | None = None) -> Columns:
    """Return the columns of a table by their role.

    Args:
        table: the table; its cells distinguish columns of numbers from others.
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
        note = "The file has no header row; its first column is used as size, the second as error."
        return Columns({"size": 0, "error": 1}, metric or ERROR, (1,), notes=(note,))
    search = _Search(table, metric, choice)
    search.find_chosen()
    search.find_documented()
    search.find_size()
    repeat_notes = search.find_repeats()
    if "error" not in search.place:
        search.find_values()
    search.notes += [*repeat_notes, *filter(None, [search.others])]
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
        self.curve_labels: tuple[str, ...] = ()
        self.repeat_labels: tuple[str, ...] = ()
        self.repeats: tuple[int, ...] = ()
        self.curves: tuple[int, ...] = ()
        self.notes: list[str] = []
        self.others = ""

    def columns(self) -> Columns:
        values, notes = self.values or (self.place["error"],), tuple(self.notes)
        labels = (self.curve_labels, self.repeat_labels)
        return Columns(self.place, self.metric, values, *labels, self.repeats, self.curves, notes)

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
                    f"--metric-column {self.choice.metric}: pass --metric too, such as error, loss or accuracy, which "
                    "tells whether larger values are better"
                )
            self.metric = _metric_of(known or self.choice.metric.lower())

    def find_documented(self) -> None:
        """Find the columns that docs/fit.md names."""
        if set(_LONG) <= set(self.names) and "error" not in self.place:
            self.place |= {role: self._only(name) for role, name in (("metric", "metric"), ("error", "value"))}
        is_any = self.metric is None
        if "error" not in self.place and "error" not in self.names and (is_any or self._is_error_asked()):
            check_losses(self.table, self.headings, is_asked=not is_any)
        own = "" if self.metric is None else self.metric.name.lower().replace("_", " ")
        errors = _HEADINGS["error"] if own in ("", "error") else (own,)
        for role, known in {**_HEADINGS, "error": errors}.items():
            for name in known:
                if name in self.names and role not in self.place:
                    self.place[role] = self._only(name)
                elif self.names.count(name) > 1:
                    self._only(name)
        if "error" not in self.place or "metric" in self.place or not (is_any or own == "error"):
            return
        if self.names[self.place["error"]] == "loss" and "training" not in self.place:
            self.notes.append(f"The column {self.table.heading[self.place['error']]!r} is used as error.")
        if is_any:
            self.metric = ERROR
            read = self.headings[self.place["error"]].metric
            self._note_others([name for name in metrics_of(self.table, self.headings) if name != read])

    def _is_error_asked(self) -> bool:
        return self.metric is not None and self.metric.name == ERROR.name

    def _note_others(self, names: Sequence[str]) -> None:
        self.others = f"Other metrics of the file: {', '.join(names)} (--metric)." if names else ""

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

    def find_repeats(self) -> list[str]:
        """Find the columns that number the repeats, several of which do so together; return the notes."""
        found = [i for i, heading in enumerate(self.headings) if heading.text in _REPEATS]
        if self.choice.repeat is not None or not found or (len(found) == 1 and "repeat" in self.place):
            return []
        self.place["repeat"], self.repeats = found[0], tuple(found)
        names = ", ".join(repr(self.table.heading[i]) for i in found)
        return [
            f"The column {names} is used as repeat." if len(found) == 1 else f"{names} together number the repeats."
        ]

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
                self._take("error", chosen, self._metric_name(), "metric")
            elif chosen:
                self._take_several(chosen)
            if chosen:
                return
        self._take_numbers()

    def _choose(self, groups: Mapping[str, list[int]]) -> list[int]:
        """Return the columns of the metric, and set it if it is not known."""
        if self.metric is not None:
            asked = parse_heading(self.metric.name)
            names = [name for name in groups if name == asked.metric]
            if self._is_error_asked() and ERROR.name not in metrics_of(self.table, self.headings):
                names = [name for name in groups if is_error(METRICS[name])]
            found = sorted(i for name in names for i in groups[name])
            return [i for i in found if asked.part in ("", self.headings[i].part)]
        errors = sorted(i for name, found in groups.items() if is_error(METRICS[name]) for i in found)
        if errors:
            self.metric = ERROR
            self._note_others([name for name in groups if not is_error(METRICS[name])])
            return errors
        if len(groups) > 1:
            names = list(groups)
            raise ValueError(f"it has the metrics {', '.join(names)}; pass --metric {names[0]} or --metric {names[1]}")
        for name, found in groups.items():
            self.metric = METRICS[name]
            return found
        return []

    def _metric_name(self) -> str:
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
            self._take("error", found, self._metric_name(), "metric")
            return
        self._melt(found, [curve_label(self.table.heading[i]) for i in found])

    def _take_numbers(self) -> None:
        """Take all other columns of numbers, which are repeats or curves, if there are several."""
        if "size" not in self.place:
            return
        others = [i for i in range(len(self.names)) if i not in self.place.values() and not self.headings[i].is_spread]
        found = [i for i in others if self.table.is_numeric(i)]
        foreign = [
            i for i in found if set(self.headings[i].words) & _OTHER and not _split_seed(self.table.heading[i])[1]
        ]
        if len(found) < 2 or foreign or any(self.headings[i].metric or self.headings[i].is_time for i in found):
            return
        if self.metric is None:
            self.metric = ERROR
        self._melt(found, [self.table.heading[i] for i in found])

    def _melt(self, found: Sequence[int], labels: Sequence[str]) -> None:
        pairs = [_split_seed(label) for label in labels]
        if not all(seed for _, seed in pairs):
            pairs = [(label, "") for label in labels]
        curves, seeds = [curve for curve, _ in pairs], [seed for _, seed in pairs]
        names = ", ".join(repr(self.table.heading[i]) for i in found[:6]) + (", ..." if len(found) > 6 else "")
        if any(curves) and "curve" in self.place:
            raise ValueError(f"its columns {names} and {self.table.heading[self.place['curve']]!r} both name curves")
        if any(seeds) and "repeat" in self.place:
            raise ValueError(f"its columns {names} and {self.table.heading[self.place['repeat']]!r} both name repeats")
        self.place["error"], self.values = found[0], tuple(found)
        self.curve_labels = tuple(curves) if any(curves) else ()
        self.repeat_labels = tuple(seeds) if any(seeds) else ()
        what = "repeats" if not any(curves) else "curves" if not any(seeds) else "repeats of several curves"
        self.notes.append(f"The columns {names} are read as {what} of the {self._metric_name()}.")

    def find_spread(self) -> None:
        """Find a standard deviation or error of the values; only an error is used without the number of repeats."""
        spreads = [i for i, heading in enumerate(self.headings) if heading.is_spread and i not in self.place.values()]
        spreads = [i for i in spreads if any(map(str.strip, self.table.cells(i)))]
        counts = [i for i, heading in enumerate(self.headings) if heading.text in _COUNTS]
        usable = [i for i in spreads if spread_kind(self.headings[i]) and not self.values]
        if len(counts) == 1:
            self.place["count"] = counts[0]
        else:
            usable = [i for i in usable if spread_kind(self.headings[i]) == "error"]
        if len(usable) == 1 and len(counts) <= 1:
            self.place["spread"] = usable[0]
            spreads.remove(usable[0])
        if spreads:
            named = ", ".join(repr(self.table.heading[i]) for i in spreads[:6])
            remedy = "" if "spread" in self.place else "; give repeats as rows, or their number in a column n_repeats"
            self.notes.append(f"Not used: {named}. The noise is estimated from the errors{remedy}.")


def _split_seed(label: str) -> tuple[str, str]:
    """Return the name of the curve and of the repeat in a label, such as "mlp" and "seed0" in "mlp_seed0".

    Examples:
        >>> [_split_seed(label) for label in ("mlp_seed0", "Run 2", "3", "VGG 16", "R50")]
        [('mlp', 'seed0'), ('', 'Run 2'), ('', '3'), ('VGG 16', ''), ('R50', '')]
    """
    match = _SEED.search(label) if len(label) <= _LONGEST else None
    if match is None:
        return label, ""
    return label[: len(label) - len(match[0])].strip(" -_/.:|,=()"), match[0].strip(" -_/.:|,=()")


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
        return f"its first line, {listed}, holds numbers; put a header row such as size,{name} before it"
    hint = "Rename the columns, or name them with --size-column and --metric-column (and --metric)."
    values = [i for i in range(len(table.heading)) if i not in place.values() and table.is_numeric(i)]
    known = [heading.metric for heading in search.headings if heading.metric and not heading.is_spread]
    if "error" not in place and known and metric is not None:
        hint = f"It has values of {known[0]}: pass --metric {known[0]}."
    elif "size" in place and len(values) == 1:
        only = table.heading[values[0]]
        hint = f"If {only!r} has the values, pass --metric-column {only!r} --metric NAME."
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
