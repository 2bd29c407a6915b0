"""Check that a loss is not taken for the error of a table that also has a metric such as accuracy."""

from collections.abc import Sequence

from lcjax.curves.metrics import ERROR, METRICS
from lcjax.curves.readers.headings import Heading, is_error
from lcjax.tables.table import Table

__all__ = ["check_losses", "metrics_of"]


def metrics_of(table: Table, headings: Sequence[Heading]) -> dict[str, int]:
    """Return the metrics of a table, except those on training data, with the first column of each.

    Args:
        table: the table; columns of text, such as names of loss functions, hold no metric.
        headings: its headings in words.

    Examples:
        >>> from lcjax.curves.readers.headings import parse_heading
        >>> heading = ["size", "acc", "acc_std", "train_loss", "loss"]
        >>> metrics_of(Table("a.csv", heading, [["1"]] * 5, [2]), [parse_heading(cell) for cell in heading])
        {'accuracy': 1, 'loss': 4}
    """
    places: dict[str, int] = {}
    for i, heading in enumerate(headings):
        if not heading.metric or heading.is_spread or heading.part == "train":
            continue
        if any(character.isdigit() for cell in table.cells(i) for character in cell):
            places.setdefault(heading.metric, i)
    return places


def check_losses(table: Table, headings: Sequence[Heading], *, is_asked: bool) -> None:
    """Refuse a table with a loss and another metric whose error may be meant.

    Args:
        table: the table.
        headings: its headings in words.
        is_asked: True if the user asks for the error by name, so that a column of errors is meant if there is one.

    Raises:
        ValueError: the error may be that of several metrics; the message gives the options that decide.

    Examples:
        >>> from lcjax.curves.readers.headings import parse_heading
        >>> heading = ["size", "acc", "loss"]
        >>> table = Table("a.csv", heading, [["1"]] * 3, [2])
        >>> check_losses(table, [parse_heading(cell) for cell in heading], is_asked=False)
        Traceback (most recent call last):
        ValueError: its error may be 1 - accuracy (column 'acc') or the loss (column 'loss'); pass --metric accuracy ...
    """
    places = metrics_of(table, headings)
    losses = [name for name in places if is_error(METRICS[name]) and name != ERROR.name]
    others = [name for name in places if METRICS[name].rises or name == ERROR.name]
    if not losses or not others or (is_asked and ERROR.name in places):
        return
    names = [name for name in places if name in (*losses, *others)]
    words = {name: METRICS[name].error_name if METRICS[name].rises else f"the {name}" for name in names}
    readings = [f"{words[name]} (column {table.heading[places[name]]!r})" for name in names]
    options = [f"--metric {name}" for name in names]
    raise ValueError(f"its error may be {_either(readings)}; pass {_either(options)}")


def _either(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
