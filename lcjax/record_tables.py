"""Records as HTML tables, for notebooks: fields, short values, and the meaning that the docstring gives them."""

import dataclasses
import functools
import html
import inspect
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

__all__ = ["record_table", "record_text"]

DEPTH = 4  # nested records below this one are named only
ITEMS = 6  # values of an array, entries of a mapping or elements of a sequence that are shown
LONGEST = 160  # characters of a text

_ENTRY = re.compile(r"^(\w+): (.*(?:\n +.*)*)", re.M)


def record_table(record: Any, depth: int = 0) -> str:
    """Return a record as an HTML table without scripts, styles or links; all text is escaped.

    If a record has a method `headline()`, its sentence is shown, and the table is folded.

    Args:
        record: a dataclass instance.
        depth: number of records around this one.

    Examples:
        >>> import lcjax as lc
        >>> text = lc.LearningCurve(np.array([10.0, 20.0]), np.array([0.5, 0.25]))._repr_html_()
        >>> "<td>0.5, 0.25 <small>float64, shape (2,)</small></td>" in text
        True
    """
    kind: Any = type(record)
    meanings = _meanings(kind)
    rows = []
    for field in dataclasses.fields(record):
        value = _show(getattr(record, field.name), depth)
        meaning = _escape(meanings.get(field.name, ""))
        rows.append(f'<tr><th scope="row">{_escape(field.name)}</th><td>{value}</td><td>{meaning}</td></tr>')
    heads = "".join(f'<th scope="col">{heading}</th>' for heading in ("field", "value", "meaning"))
    name = _escape(type(record).__name__)
    caption = "" if depth else f"<caption>{name}</caption>"
    table = f"<table>{caption}<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    if depth or not (headline := _headline(record)):
        return table
    return f"<p><strong>{_escape(headline)}</strong></p><details><summary>{name}</summary>{table}</details>"


def record_text(record: Any) -> str:
    """Return the sentence of a record's method `headline()`, or its fields where that is empty.

    Args:
        record: a record with such a method.

    Examples:
        >>> import lcjax as lc
        >>> print(lc.collect(lambda seed, indices: {"error": 0.2}, [10, 20], repeats=1, examples=20))
        2 trainings on 10 to 20 examples: error
    """
    return _headline(record) or repr(record)


def _headline(record: Any) -> str:
    """Return the sentence of a record; nothing inside of a transformation, where values are not known."""
    if not hasattr(record, "headline") or any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(record)):
        return ""
    return str(record.headline())


def _escape(text: str) -> str:
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return html.escape(shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…")


def _show(value: Any, depth: int) -> str:
    if value is None:
        return "None"
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return _show_array(value)
    if isinstance(value, bool | str):
        return _escape(str(value))
    if isinstance(value, int | float):
        return _escape(f"{value:.6g}" if isinstance(value, float) else f"{value:,}")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = _escape(type(value).__name__)
        if depth >= DEPTH or getattr(type(value), "__no_type_check__", False) is not True:
            return name
        headline = _headline(value)
        label = f"{name}: {_escape(headline)}" if headline else name
        return f"<details><summary>{label}</summary>{record_table(value, depth + 1)}</details>"
    if isinstance(value, Mapping):
        return _join([f"{_escape(str(name))}: {_show(part, depth + 1)}" for name, part in _first(value.items())], value)
    if isinstance(value, list | tuple):
        return _join([_show(part, depth + 1) for part in _first(value)], value)
    qualified = getattr(value, "__qualname__", None)
    return _escape(qualified if isinstance(qualified, str) else repr(value))


def _first(values: Any) -> list[Any]:
    return [value for value, _ in zip(values, range(ITEMS), strict=False)]


def _join(parts: list[str], whole: Any) -> str:
    more = f"<br>… {len(whole)} in all" if len(whole) > len(parts) else ""
    return "<br>".join(parts) + more if parts else "empty"


def _show_array(value: Any) -> str:
    """Return the first values of an array, its dtype and its shape; only the former are brought to the host."""
    kind = f"<small>{_escape(str(value.dtype))}, shape {value.shape}</small>"
    if isinstance(value, jax.core.Tracer) or jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
        return kind
    try:
        first = np.asarray(value.reshape(-1)[:ITEMS])
    except RuntimeError:  # donated, or on another host
        return kind
    texts = [f"{x:.6g}" if isinstance(x, float) else str(x) for x in first.tolist()]
    if value.ndim == 0:
        return _escape(texts[0])
    return f"{_escape(', '.join(texts) + (', …' if value.size > ITEMS else ''))} {kind}"


@functools.cache
def _meanings(kind: type) -> dict[str, str]:
    """Return what the docstring of a class says about each attribute, its first sentence."""
    _, _, section = (inspect.getdoc(kind) or "").partition("\nAttributes:\n")
    lines = section.split("\n")
    end = next((i for i, line in enumerate(lines) if line and not line.startswith("    ")), len(lines))
    text = inspect.cleandoc("\n".join(lines[:end]))
    entries = {name: " ".join(words.split()) for name, words in _ENTRY.findall(text)}
    return {name: words.split(". ")[0].rstrip(".").replace("`", "") for name, words in entries.items()}
