"""Tables with a column of targets: CSV and Parquet files, folders of them by split, and data frames."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from jaxtyping import Int, Shaped

from lcjax.data.encoding import encode_columns
from lcjax.data.examples import SPLITS, Source, Splits
from lcjax.data.readers.files import check_size, read_bytes
from lcjax.files import reading
from lcjax.tables.frames import is_parquet, read_parquet, table_from_frame
from lcjax.tables.table import Table
from lcjax.tables.text import parse_table

__all__ = ["TableOptions", "read_table_source", "split_options", "table_source"]

_TARGETS = ("target", "targets", "label", "labels", "class", "y", "outcome", "response")
_SPLIT = ("split", "partition", "subset", "set", "fold type")
_PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"} | dict.fromkeys(
    ("validation", "val", "valid", "dev"), "validation"
)
_ENDINGS = (".csv", ".tsv", ".txt", ".data", ".parquet")
_CELL = 64  # bytes of a cell of text


@dataclasses.dataclass(frozen=True)
class TableOptions:
    """Columns of a table that the user names, as in csv:FILE?target=price&drop=id,name.

    Attributes:
        target: column of the targets.
        drop: columns to leave out.
        split: column that names the split of each row.
        groups: column with the group of each row.
        heading: False if the first line is data; columns are then named 1, 2, ...
    """

    target: str | None = None
    drop: tuple[str, ...] = ()
    split: str | None = None
    groups: str | None = None
    heading: bool = True


def split_options(argument: str) -> tuple[str, dict[str, str]]:
    """Return the path and the options in `FILE?name=value&name=value`.

    Examples:
        >>> split_options("houses.csv?target=price&drop=id,name")
        ('houses.csv', {'target': 'price', 'drop': 'id,name'})
        >>> split_options("what?.csv")
        ('what?.csv', {})
    """
    path, sign, query = argument.rpartition("?")
    if not sign or "=" not in query or Path(argument).exists():
        return argument, {}
    return path, dict(parse_qsl(query, keep_blank_values=True))


def read_table_source(argument: str, groups: str | None = None) -> Source:
    """Read a CSV or Parquet file, or a folder with a file for each split: train, and perhaps validation and test.

    Args:
        argument: path, perhaps followed by options: `FILE?target=NAME&drop=NAME,NAME&split=NAME&heading=no`.
        groups: column with the group of each row, which is no input.

    Raises:
        ValueError: a file is damaged or too large, an option is not known, or the column of targets is not.
        OSError: a file is missing.
    """
    path, given = split_options(argument)
    unknown = set(given) - {"target", "drop", "split", "heading"}
    if unknown:
        raise ValueError(f"{path}: unknown option {min(unknown)!r}; options are target, drop, split and heading.")
    drop = tuple(name for name in given.get("drop", "").split(",") if name)
    heading = given.get("heading", "yes").lower() not in ("no", "none", "false", "0")
    options = TableOptions(given.get("target"), drop, given.get("split"), groups, heading)
    files = _files(Path(path))
    with reading(path):
        return table_source({split: _read(file, heading) for split, file in files.items()}, options)


def _files(path: Path) -> dict[str, Path]:
    if not path.is_dir():
        return {"train": path}
    files: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        split = _PARTS.get(file.name.partition(".")[0].lower())
        if split is None or not file.is_file() or not any(ending in file.suffixes for ending in _ENDINGS):
            continue
        if split in files:
            raise ValueError(f"{path} has two files of one split, {files[split].name} and {file.name}; remove one.")
        files[split] = file
    if "train" not in files:
        raise FileNotFoundError(f"No file train.csv or train.parquet in {path}.")
    return files


def _read(file: Path, heading: bool) -> Table:
    if file.is_file() and is_parquet(file):
        return read_parquet(file, lambda needed: check_size(file, needed))
    raw = bytes(read_bytes(file))
    check_size(file, _CELL * sum(raw.count(sign) for sign in (b",", b";", b"\t", b"\n")) + len(raw))
    return parse_table(raw, str(file), heading=heading)


def table_source(tables: Mapping[str, Table | Any], options: TableOptions | None = None) -> Source:
    """Return the source in tables or data frames, by split.

    Columns of numbers are inputs, and text is encoded, both fitted to the training rows (`encode_columns`). Rows
    without a target are left out.

    Args:
        tables: tables of equal columns; without "test" or "validation" these are made later.
        options: columns that the user names.

    Raises:
        ValueError: the column of targets is not known, or columns differ between splits.

    Examples:
        >>> source = table_source({"train": {"size": [1, 2, 3, 4], "color": ["red", "blue"] * 2, "y": list("abab")}})
        >>> source.splits["train"][1].tolist(), source.notes
        (['a', 'b', 'a', 'b'], ("The column 'y' is used as target.",))
        >>> source.encode(source.splits)[0]["train"][0].tolist()
        [[1.0, 1.0], [2.0, 0.0], [3.0, 1.0], [4.0, 0.0]]
    """
    options = TableOptions() if options is None else options
    parts = {split: one if isinstance(one, Table) else table_from_frame(one) for split, one in tables.items()}
    train = parts["train"]
    for table in parts.values():
        if not len(table):
            raise ValueError(f"{table.source} has no rows of data.")
    notes = list(train.notes)
    target = _find(train, options.target, _TARGETS, "target")
    if target is None:
        numbers = [name for name in train.heading if name.replace(".", "", 1).replace("-", "", 1).isdecimal()]
        if numbers or train.heading == [""] * 2:
            raise ValueError(
                f"{train.source}: its first line holds numbers; put a header row before it, or add ?heading=no&target="
                f"{len(train.heading)} for the last of its columns."
            )
        listed = ", ".join(train.heading[:30])
        raise ValueError(
            f"{train.source} has no column named {', '.join(_TARGETS[:3])} or y; its columns are {listed}. Name the "
            f"column of the targets: ?target={train.heading[-1]} at the end of the path."
        )
    if options.target is None:
        notes.append(f"The column {train.heading[target]!r} is used as target.")
    split = _find(train, options.split, _SPLIT if len(parts) == 1 else (), "split")
    if split is not None and (options.split is not None or _are_parts(train.cells(split))):
        parts = _by_split(train, split)
        notes.append(f"The column {train.heading[split]!r} gives the splits.")
    else:
        split = None
    group = _find(train, options.groups, (), "groups")
    dropped = {_find(train, name, (), "drop") for name in options.drop}
    inputs = [i for i in range(len(train.heading)) if i not in {target, split, group, *dropped}]
    if not inputs:
        raise ValueError(f"{train.source} has no column beside {train.heading[target]!r}.")
    parts = {name: _align(table, train) for name, table in parts.items()}
    whole = _stack(parts)
    values, present = _targets(whole, target)
    if not present.all():
        notes.append(f"Left out: {int(np.sum(~present)):,} rows without a target.")
    ends = np.cumsum([len(table) for table in parts.values()])
    splits: dict[str, tuple[Int[np.ndarray, "n 1"], Shaped[np.ndarray, " n"]]] = {}
    for name, end, table in zip(parts, ends.tolist(), parts.values(), strict=True):
        rows = np.arange(end - len(table), end)[present[end - len(table) : end]]
        if not rows.size:
            raise ValueError(f"{table.source} has no row with a target.")
        splits[name] = (rows[:, None], values[rows])

    def encode(chosen: Splits) -> tuple[Splits, tuple[str, ...]]:
        rows = {name: np.asarray(one).astype(np.int64).ravel() for name, (one, _) in chosen.items()}
        encoded, more = encode_columns(whole, inputs, rows)
        return {name: (encoded[name], chosen[name][1]) for name in chosen}, more

    members = None if group is None else np.array(whole.cells(group))[splits["train"][0].ravel()]
    return Source(splits, tuple(notes), encode, members)


def _find(table: Table, name: str | None, usual: Sequence[str], option: str) -> int | None:
    """Return the column of an exact name, or the first one with a usual name; None if there is none."""
    if name is not None:
        if table.heading.count(name) != 1:
            many = f"{table.heading.count(name)} columns" if name in table.heading else "no column"
            raise ValueError(
                f"{table.source}: {option}={name}, but it has {many} of that name; its columns are "
                f"{', '.join(table.heading[:30])}."
            )
        return table.heading.index(name)
    names = [heading.strip().lower() for heading in table.heading]
    found = [names.index(one) for one in usual if one in names]
    if option == "target" and len(found) > 1:
        raise ValueError(
            f"{table.source}: its columns {table.heading[found[0]]!r} and {table.heading[found[1]]!r} may each be the "
            f"target; add ?target={table.heading[found[0]]} to the path."
        )
    return found[0] if found else None


def _are_parts(cells: Sequence[str]) -> bool:
    names = {cell.strip().lower() for cell in dict.fromkeys(cells)}
    return names <= set(_PARTS) and len(names) > 1


def _by_split(table: Table, column: int) -> dict[str, Table]:
    names = [_PARTS.get(cell.strip().lower()) for cell in table.cells(column)]
    if None in names:
        row = names.index(None)
        raise ValueError(
            f"{table.place(row)}: {table.heading[column]} must be train, validation or test, got "
            f"{table.cells(column)[row]!r}."
        )
    parts = {split: np.array([name == split for name in names], bool) for split in SPLITS}
    if not parts["train"].any():
        raise ValueError(f"{table.source}: no row has train in its column {table.heading[column]!r}.")
    return {split: table.take(mask) for split, mask in parts.items() if mask.any()}


def _align(table: Table, train: Table) -> Table:
    """Return a table with the columns in the order of the training set."""
    missing = [name for name in train.heading if name not in table.heading]
    if missing:
        raise ValueError(f"{table.source} has no column {missing[0]!r}, which {train.source} has.")
    columns = [table.columns[table.heading.index(name)] for name in train.heading]
    return dataclasses.replace(table, heading=train.heading, columns=columns)


def _stack(parts: Mapping[str, Table]) -> Table:
    """Return one table of all rows."""
    tables = list(parts.values())
    if len(tables) == 1:
        return tables[0]
    columns: list[Any] = []
    for column in range(len(tables[0].heading)):
        cells = [table.columns[column] for table in tables]
        are_numbers = all(not isinstance(one, list) and one.dtype.kind in "biuf" for one in cells)
        columns.append(
            np.concatenate(cells) if are_numbers else [cell for table in tables for cell in table.cells(column)]
        )
    lines = [line for table in tables for line in table.lines]
    return dataclasses.replace(tables[0], columns=columns, lines=lines)


def _targets(table: Table, column: int) -> tuple[Shaped[np.ndarray, " n"], np.ndarray]:
    """Return the targets, numbers if all are, and True where there is one."""
    if table.is_numeric(column):
        numbers = table.numbers(column, table.heading[column])
        present = np.isfinite(numbers)
        whole = bool(np.all(numbers[present] % 1 == 0)) and bool(np.all(np.abs(numbers[present]) < 2**53))
        return (np.where(present, numbers, 0).astype(np.int64) if whole else numbers), present
    names = np.array(table.names(column))
    return names, np.array([bool(name) and name.lower() not in ("nan", "na", "n/a", "null", "?") for name in names])
