"""CSV files as spreadsheets and people write them: encoding, separator, comments, heading."""

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator

from lcjax.tables.cells import check_name, is_missing, parse_spread
from lcjax.tables.table import Table

__all__ = ["parse_table"]

_MARKS = (  # the longer ones first: that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_FORMATS = {
    b"PK\x03\x04": "a workbook of a spreadsheet or another ZIP archive; export it as CSV",
    b"\xd0\xcf\x11\xe0": "a workbook of a spreadsheet; export it as CSV",
    b"\x1f\x8b": "compressed by gzip; decompress it",
    b"{": "JSON, not a table; write its numbers as CSV",
    b"SQLite format 3": "an SQLite database; export its runs as CSV",
}
_QUOTED = re.compile(r'"[^"]*"')
_RULE = re.compile(r"[-:=+ ]*")  # below the heading of a table in Markdown


def parse_table(raw: bytes, source: str, *, heading: bool = True) -> Table:
    r"""Return the table in a text file with a heading, separated by commas, semicolons, tabs, bars or spaces.

    A first line `sep=;` gives the separator. Lines that begin with # are comments; the last one above numbers is their
    heading if it has as many names. A separator at the end of a line, and empty lines, mean nothing. The text is UTF-8,
    or UTF-16 or UTF-32 with a byte order mark. Two columns of numbers without a heading get the headings "" and "".

    Args:
        raw: content of the file.
        source: its name in messages.
        heading: False if the first row is data; the columns are then named 1, 2, ...

    Raises:
        ValueError: the content is not text, or a row has another number of cells than the heading.

    Examples:
        >>> table = parse_table(b"sep=;\n# by hand\nsize;error\n100;0,31\n200;0,24;\n", "a.csv")
        >>> table.heading, table.numbers(1, "error").tolist(), table.lines
        (['size', 'error'], [0.31, 0.24], [4, 5])
    """
    file = io.StringIO(_decode(raw, source), newline="")
    skipped, delimiter, first, comment = 0, "", "", ""
    for first in file:
        if first.strip() and not first.startswith(("#", "sep=")):
            break
        comment = first.lstrip("# \t").strip() if first.startswith("#") else comment
        delimiter = first[4:5].strip("\r\n") if first.startswith("sep=") else delimiter
        skipped, first = skipped + 1, ""
    plain = _QUOTED.sub("", first)
    best = max(",;\t|", key=plain.count)
    delimiter = delimiter or (best if best in plain else " ")
    reader = csv.reader(itertools.chain([first], file), delimiter=delimiter, skipinitialspace=True, strict=True)
    names: list[str] = []
    cells: list[str] = []  # row by row in one list, because a list for each row would take seconds to collect
    lines: list[int] = []
    try:
        for row in _rows(reader, delimiter):
            names = names or row
            if row[0] == "#" or row[0].startswith("# ") or (row[0].startswith("#") and len(row) != len(names)):
                continue
            if len(row) != len(names):
                if len(row) < len(names) or "".join(row[len(names) :]).strip():
                    raise csv.Error(f"expected {len(names)} cells as in the heading, got {len(row)}")
                del row[len(names) :]
            cells += row
            lines.append(skipped + reader.line_num)
    except csv.Error as error:
        raise ValueError(f"{source}, line {skipped + reader.line_num}: {error}.") from None
    width, start = len(names), 1
    notes: tuple[str, ...] = ()
    if not heading:
        names, start = [str(number + 1) for number in range(width)], 0
    elif width and all(map(_is_number, names)):
        above = next(csv.reader([comment], delimiter=delimiter, skipinitialspace=True), [])
        if len(above) == width and not any(map(_is_number, above)):
            names, start = above, 0
            notes = (f"The comment {comment!r} is used as the heading.",)
        elif width == 2:
            names, start = ["", ""], 0
    columns = [cells[column::width][start:] for column in range(width)]
    return Table(source, [check_name(cell) for cell in names], columns, lines[start:], delimiter == ",", notes)


def _rows(reader: Iterable[list[str]], delimiter: str) -> Iterator[list[str]]:
    """Yield the rows that are not empty, those of a table in Markdown without its frame."""
    for row in reader:
        text = "".join(row).strip()
        if not text:
            continue
        if delimiter == "|":
            if _RULE.fullmatch(text):
                continue
            if not row[0].strip() and not row[-1].strip():
                row = row[1:-1]
            row = [cell.strip() for cell in row]
        yield row


def _is_number(cell: str) -> bool:
    try:
        parse_spread(cell.strip())
    except ValueError:
        return False
    return not is_missing(cell.strip())


def _decode(raw: bytes, source: str) -> str:
    for magic, form in _OTHER_FORMATS.items():
        if raw.startswith(magic):
            raise ValueError(f"{source} is {form}.")
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte, name = raw[error.start], encoding.removesuffix("-sig").upper()
        raise ValueError(f"{source}, line {line}: byte 0x{byte:02x} is not {name}; save the file as UTF-8.") from None
