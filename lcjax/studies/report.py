"""Reports of studies: results as JSON with settings and environment, and tables as Markdown."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lcjax.data.examples import Data
from lcjax.files import atomic_path, write_json
from lcjax.provenance import environment
from lcjax.text import printable
from lcjax.typing import PathLike

__all__ = ["Table", "identify_data", "markdown", "write_markdown", "write_report"]


def write_report(path: PathLike, settings: Mapping[str, object], results: Mapping[str, object]) -> None:
    """Write settings, environment and results (records, arrays, plain data) of a study as JSON; create the folder.

    Examples:
        >>> import json, pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "result.json")
        ...     write_report(path, {"seeds": 3}, {"error": 0.1})
        ...     list(json.loads(path.read_text()))
        ['seeds', 'environment', 'error']
    """
    write_json(path, {**settings, "environment": environment(), **results})


def identify_data(data: Data) -> dict[str, str]:
    """Return the name and the fingerprint of a data set, for settings."""
    return {"data": data.name, "fingerprint": data.fingerprint()}


class Table(NamedTuple):
    """A table of text: its title, the headings of its columns, and the cells of each row."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def markdown(tables: Sequence[Table]) -> str:
    """Return tables as Markdown.

    Examples:
        >>> print(markdown([Table("T", ("a", "b"), [["1", "2"]])]), end="")
        ### T
        <BLANKLINE>
        | a | b |
        |---|---|
        | 1 | 2 |
        <BLANKLINE>
    """
    lines = []
    for table in tables:
        head, *rows = (f"| {' | '.join(map(_escape, row))} |" for row in (table.columns, *table.rows))
        lines += [f"### {_escape(table.title)}", "", head, "|---" * len(table.columns) + "|", *rows, ""]
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return printable(text).replace("|", "\\|").replace("<", "&lt;")


def write_markdown(path: PathLike, tables: Sequence[Table]) -> None:
    """Write tables as a Markdown file, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(markdown(tables))
