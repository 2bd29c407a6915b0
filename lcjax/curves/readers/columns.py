"""Columns of tables of learning curves, recognized by their headings."""

from collections.abc import Mapping, Sequence

from lcjax.curves.metrics import ERROR, Metric

__all__ = ["BENCHMARK", "explain_missing", "find_columns"]

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
# Other headings, which are used if there is only one of their kind, with a note.
_SIZES = {
    *("n", "n train", "num train", "train size", "training size", "training set size", "dataset size", "data size"),
    *(f"{first} {what}" for first in ("n", "num", "train", "training") for what in ("examples", "samples")),
    "samples",
}
_ERRORS = ("error", "err", "error rate", "loss", "mse", "rmse", "mae", "nll")
_HELD_OUT = ("test", "val", "valid", "validation", "dev", "eval")
_TRACKERS = ("config", "params", "hparams", "summary", "metrics")  # prefixes of experiment trackers
_SPREADS = {"std", "stdev", "sd", "stderr", "se", "sem", "deviation", "variance", "ci"}


def find_columns(heading: Sequence[str], metric: Metric) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the positions of the columns by their role, and notes on what was inferred.

    Args:
        heading: name of each column.
        metric: metric of the values; other names of errors are recognized for errors alone.

    Raises:
        ValueError: two columns have the same role.

    Examples:
        >>> find_columns(["n_train", "test_error", "seed"], ERROR)[0]
        {'repeat': 2, 'size': 0, 'error': 1}
        >>> find_columns(["size", "test_error", "val_error"], ERROR)
        Traceback (most recent call last):
        ValueError: its columns 'test_error', 'val_error' may each be the error; name one of them error.
    """
    names = [" ".join(cell.lower().replace("_", " ").split()) for cell in heading]
    is_error, own = metric.name == ERROR.name, metric.name.lower().replace("_", " ")
    place: dict[str, int] = {}
    notes = []
    for role, known in {**_HEADINGS, "error": _HEADINGS["error"] if is_error else (own,)}.items():
        for name in known:
            if names.count(name) > 1:
                raise ValueError(f"{names.count(name)} of its columns are named {name}; rename all but one.")
            if name in names:
                place.setdefault(role, names.index(name))
    bare = [name.partition(".")[2] if name.partition(".")[0] in _TRACKERS else name for name in names]
    values = _ERRORS if is_error else (own,)
    others = {
        "size": {*_HEADINGS["size"], *_SIZES},
        "error": {*values, *(f"{split} {name}" for split in _HELD_OUT for name in values)},
        "repeat": set(_HEADINGS["repeat"]),
    }
    for role, accepted in others.items():
        found = [i for i, name in enumerate(bare) if name in accepted]
        if role in place or not found:
            continue
        what = metric.name if role == "error" else role
        if len(found) > 1:
            columns = ", ".join(repr(heading[i]) for i in found)
            raise ValueError(f"its columns {columns} may each be the {what}; name one of them {what}.")
        place[role] = found[0]
        notes.append(f"The column {heading[found[0]]!r} is used as {what}.")
    spreads = [repr(cell) for cell, name in zip(heading, names, strict=True) if _SPREADS & set(name.split())]
    if spreads:
        notes.append(f"Not used: {', '.join(spreads)}. The noise is estimated from the errors; give repeats as rows.")
    return place, tuple(notes)


def explain_missing(heading: Sequence[str], place: Mapping[str, int], metric: Metric) -> str:
    """Return a message on a missing size or error, with the likely remedy.

    Examples:
        >>> explain_missing(["500", "0.3"], {}, ERROR)
        'its first line, 500, 0.3, holds numbers; put a heading such as size,error before it'
    """
    missing = [name for role, name in {"size": "size", "error": metric.name}.items() if role not in place]
    others = [cell for i, cell in enumerate(heading) if cell and i not in place.values()]
    numbers = [cell for cell in others if cell.replace(".", "", 1).isdigit()]
    if numbers and len(numbers) == len(heading):
        return (
            f"its first line, {', '.join(heading)}, holds numbers; put a heading such as size,{metric.name} before it"
        )
    hint = "Rename the columns to use."
    if metric.name == ERROR.name and any("acc" in cell.lower() for cell in heading):
        hint = "For an accuracy, pass --metric accuracy, which forecasts 1 - accuracy."
    elif numbers and numbers == others:
        hint = "If its sizes are in the first line, transpose it: one row for each size."
    elif "size" in place and len(others) > 1:
        hint = "If its columns are seeds or models, write one row for each error, and add a column repeat or curve."
    return (
        f"it has no column {' and no column '.join(missing)}; its columns are {', '.join(heading)}. Expected size, "
        f"{metric.name} (and repeat, curve, test_count), or the benchmark's Domain, Task, Model, Seen Examples, Loss, "
        f"Training. {hint}"
    )
