"""The page of a report: answer, figures, caveats, tables and provenance in one HTML file that loads no resources."""

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files as resources
from typing import Any, NamedTuple

from lcjax.files import atomic_path
from lcjax.reports.chart import Chart, escape, render_chart
from lcjax.studies.report import Table
from lcjax.typing import PathLike

__all__ = ["Attachment", "Page", "Provenance", "render_page", "write_page"]

LARGEST_ATTACHMENT = 2**22  # bytes; a larger table stays beside the page


class Attachment(NamedTuple):
    """A text file within a page, saved by a button.

    Attributes:
        name: name under which it is saved.
        text: its content.
    """

    name: str
    text: str


class Page(NamedTuple):
    """Content of a report, all of it plain text.

    Attributes:
        title: title of the page.
        answer: the answer in one sentence.
        sentences: more about the answer.
        charts: figures.
        caveats: reasons for caution, one sentence each.
        tables: tables.
        attachment: the measurements as CSV, or None.
    """

    title: str
    answer: str
    sentences: Sequence[str]
    charts: Sequence[Chart]
    caveats: Sequence[str]
    tables: Sequence[Table]
    attachment: Attachment | None = None


class Provenance(NamedTuple):
    """Where a result comes from.

    Attributes:
        command: the command line.
        seed: seed of every random stream.
        finished: date and time, ISO 8601 with the zone.
        seconds: wall-clock time of the command.
        environment: versions and device, from `lcjax.provenance.environment`.
    """

    command: str
    seed: int
    finished: str
    seconds: float
    environment: Mapping[str, Any]


@functools.cache
def _asset(name: str) -> str:
    return resources("lcjax.reports").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Return the source of a policy that allows one inline style or script."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def render_page(page: Page, provenance: Provenance) -> str:
    """Return a report as HTML.

    The page loads no resources: its content security policy allows no connection and no script but its own, by hash.

    Args:
        page: the content.
        provenance: how it was made.

    Examples:
        >>> made = Provenance("lcjax fit a.csv", 0, "2026-01-31T12:00:00+00:00", 5.0, {"device": "cpu"})
        >>> text = render_page(Page("Forecast", "Error <b>0.1</b>.", [], [], [], []), made)
        >>> text.splitlines()[0], "Error &lt;b&gt;0.1&lt;/b&gt;." in text
        ('<!DOCTYPE html>', True)
    """
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">\n<link rel="icon" href="data:,">',
        f"<title>{escape(page.title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>",
        f"<h1>{escape(page.title)}</h1>",
        f'<section class="answer" aria-label="Answer"><p class="lead">{escape(page.answer)}</p>',
        *(f"<p>{escape(sentence)}</p>" for sentence in page.sentences),
        "</section>",
        *_charts(page.charts),
        *_caveats(page.caveats),
        *_data(page.tables, page.attachment),
        *_provenance(provenance),
        f"</main>\n<script>{script}</script>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def write_page(path: PathLike, page: Page, provenance: Provenance) -> None:
    """Write a report as an HTML file, atomically.

    Args:
        path: the file.
        page: the content.
        provenance: how it was made.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(render_page(page, provenance), encoding="utf-8")


def _charts(charts: Sequence[Chart]) -> list[str]:
    if not charts:
        return []
    parts = [f"<section><h2>{'Figure' if len(charts) == 1 else 'Figures'}</h2>"]
    for i, chart in enumerate(charts):
        parts += [f"<h3>{escape(chart.title)}</h3>", render_chart(chart, f"chart-{i}")]
    return [*parts, "</section>"]


def _caveats(caveats: Sequence[str]) -> list[str]:
    if not caveats:
        return []
    rows = (f"<li>{escape(sentence)}</li>" for sentence in caveats)
    return ['<section><h2>Caveats</h2><ul class="caveats">', *rows, "</ul></section>"]


def _data(tables: Sequence[Table], attachment: Attachment | None) -> list[str]:
    if not tables and attachment is None:
        return []
    parts = ["<section><h2>Data</h2>"]
    if attachment is not None and len(attachment.text) <= LARGEST_ATTACHMENT:
        content = base64.b64encode(attachment.text.encode()).decode()
        link = f'<a class="button" download="{escape(attachment.name)}" href="data:text/csv;base64,{content}">'
        parts.append(f"<p>{link}Save {escape(attachment.name)}</a></p>")
    parts += [_table(table) for table in tables]
    return [*parts, "</section>"]


def _table(table: Table) -> str:
    """Return a table, with words to the left and numbers to the right."""
    kinds = ["" if all(map(_is_number, column)) else ' class="word"' for column in zip(*table.rows, strict=True)]
    kinds = kinds or [""] * len(table.columns)
    heads = "".join(
        f'<th scope="col"{kind}>{escape(column)}</th>' for kind, column in zip(kinds, table.columns, strict=True)
    )
    rows = (
        "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) for row in table.rows
    )
    title = escape(table.title)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table><caption>{title}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table></div>"
    )


def _is_number(cell: str) -> bool:
    return (
        not cell
        or cell[0] in "0123456789-–±."
        or cell == "never"
        or cell.startswith(("more than ", "less than ", "<= "))
    )


def _provenance(made: Provenance) -> list[str]:
    versions = made.environment.get("versions", {})
    entries = {
        "Command": f"<code>{escape(made.command)}</code>",
        "Seed": f"{made.seed}",
        "Finished": escape(made.finished),
        "Wall-clock time": f"{made.seconds:.3g} s",
        "Device": escape(str(made.environment.get("device", "unknown"))),
        "Platform": escape(str(made.environment.get("platform", "unknown"))),
        "Versions": escape(", ".join(f"{name} {version}" for name, version in versions.items())),
    }
    rows = (f"<dt>{name}</dt><dd>{text}</dd>" for name, text in entries.items() if text)
    return ["<section><h2>Provenance</h2><dl>", *rows, "</dl></section>"]
