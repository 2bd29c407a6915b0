"""Records as tables in notebooks: escaped, short, and also for arrays that cannot be shown."""

from html.parser import HTMLParser

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.records import record
from lcjax.studies.collection.measurements import Training, gather

NASTY = "</td><script>alert(1)</script>\u202e"


@record
class Inner:
    """Part.

    Attributes:
        values: numbers `(n,)`, in m/s. Not shown.
    """

    values: jax.Array


@record
class Outer:
    """Record.

    Attributes:
        name: name of the
            thing.
        inner: part.
        parts: parts by name.
    """

    name: str = jax.tree.static()
    inner: Inner
    parts: dict[str, object]


class Nesting(HTMLParser):
    """A check that elements nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_names_are_escaped_and_meanings_shown():
    text = Outer(NASTY, Inner(jnp.arange(100.0)), {NASTY: 1, "nothing": None})._repr_html_()
    seen = Nesting(text).seen
    assert "script" not in seen
    assert "&lt;script&gt;alert(1)" in text
    assert "\u202e" not in text
    assert "<td>name of the thing</td>" in text
    assert "<td>numbers (n,), in m/s</td>" in text
    assert "<summary>Inner</summary>" in text
    assert "0.0, 1.0, 2.0, 3.0, 4.0, 5.0, … <small>float32, shape (100,)</small>" in text.replace(" 1,", " 1.0,") or (
        "0, 1, 2, 3, 4, 5, … <small>float32, shape (100,)</small>" in text
    )


@pytest.mark.parametrize(
    "value",
    [
        jax.random.key(0),
        np.array(2.5),
        np.array([]),
        np.zeros((2, 0)),
        jnp.ones(3, jnp.bfloat16),
        [1] * 50,
        (),
        {},
        print,
    ],
    ids=str,
)
def test_any_value_is_shown(value):
    Nesting(Outer("a", Inner(value), {"b": value})._repr_html_())


def test_records_with_a_headline_are_printed_as_it():
    answer = lc.SizeForError.without_interval(np.array(float("nan")))
    assert (str(answer), repr(answer)[:13]) == ("unknown", "SizeForError(")
    batch = lc.SizeForError.without_interval(np.array([3.0, 4.0]))
    assert str(batch) == repr(batch)
    assert str(Inner(3)) == repr(Inner(3)) == "Inner(values=3)"
    texts = []
    jax.jit(lambda size: texts.append(str(lc.SizeForError.without_interval(size))) or size)(jnp.array(3.0))
    assert texts[0].startswith("SizeForError(")


def test_traced_records_are_shown():
    texts = []

    @jax.jit
    def show(size):
        answer = lc.SizeForError.without_interval(size)
        texts.append(answer._repr_html_())
        return size

    show(jnp.array(3.0))
    assert "shape ()" in texts[0]


def test_donated_arrays_are_shown():
    values = jnp.ones(3)
    values.delete()
    assert "float32, shape (3,)" in Inner(values)._repr_html_()


def test_answers_begin_with_a_sentence():
    draws = np.array([850.0, 900.0, 950.0])
    size = lc.SizeForError.from_draws(np.array(900.0), draws, 0.9, largest=np.array(800.0))
    assert size._repr_html_().startswith("<p><strong>900 examples (90 % interval 850 to 950), beyond the largest size")
    batch = lc.SizeForError.without_interval(np.ones(3))
    assert batch._repr_html_().startswith("<table>")
    trainings = gather([Training(10, 0, {"error": 0.5}, 1.0), Training(20, 0, {"error": 0.25}, 1.0)], ["size 30: no"])
    assert "2 trainings on 10 to 20 examples: error; 1 failed" in trainings._repr_html_()
