"""Numbers in cells: one reading, or a message."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.tables.cells import parse_count, parse_spread, parse_value


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_what_python_writes_is_read_as_the_same_number(value):
    assert parse_value(repr(value)) == value
    assert parse_value(f"{value:.17e}") == value


@given(value=st.integers(1000, 10**12))
def test_thousands_are_read_with_every_separator(value):
    for separator in ("_", "'", " ", "\xa0", "\u2009", "\u202f"):
        assert parse_count(f"{value:,}".replace(",", separator)) == value
    assert parse_count(f"{value:,}", comma=True) == value
    assert parse_value(f"{value:,}.25", comma=True) == value + 0.25
    assert parse_value(f"{value:,}.25".translate(str.maketrans(",.", ".,"))) == value + 0.25


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.312 ± 0.009", (0.312, 0.009)),
        ("0,312±0,009", (0.312, 0.009)),
        ("0.312 +/- 0.009", (0.312, 0.009)),
        ("0.312 (0.009)", (0.312, 0.009)),
        ("31.25 ± 0.5%", (0.3125, 0.005)),
        ("31.25% ± 0.5%", (0.3125, 0.005)),
    ],
)
def test_a_mean_with_its_spread(text, expected):
    assert parse_spread(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["± 0.1x", "0.3 ± 0.1 ± 0.2", "(a)", "0.3 (0.1", "0.1-0.3"])
def test_other_cells_with_a_sign_are_refused(text):
    with pytest.raises(ValueError, match="must be a number, got"):
        parse_spread(text)


def test_a_missing_mean_is_nan():
    assert math.isnan(parse_spread("n/a")[0])
    assert math.isnan(parse_spread("- ± -")[0])
