"""`SizeForError`: intervals of draws, statuses, and the JSON form."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.answer.sentences import answer_sentences
from lcjax.curves.answer.size_for_error import SizeForError, describe_size
from lcjax.records import from_dict, record, to_dict


@record
class Answer:
    size: SizeForError
    by_method: dict[str, SizeForError]


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_limits_are_numpys_quantiles_of_the_draws(level, x64):
    dtype = jnp.float64 if x64 else jnp.float32
    draws = np.random.default_rng(0).lognormal(5, 2, (3, 40))
    draws[1, :10] = np.inf
    size = SizeForError.from_draws(jnp.asarray(draws[:, 0], dtype), jnp.asarray(draws, dtype), level)
    tail = (1 - level) / 2
    np.testing.assert_allclose(size.low, np.quantile(draws, tail, axis=1, method="lower"), rtol=1e-6)
    np.testing.assert_allclose(size.high, np.quantile(draws, 1 - tail, axis=1, method="higher"), rtol=1e-6)
    np.testing.assert_allclose(size.never, [0, 0.25, 0])
    assert size.level == level
    assert size.never.dtype == dtype
    assert size.status.tolist() == ["reachable", "unreachable", "reachable"]


def test_an_estimate_without_interval_has_nan_limits(x64):
    size = jax.jit(SizeForError.without_interval)(jnp.array([3.0, jnp.inf, jnp.nan]))
    np.testing.assert_array_equal(size.value, [3.0, np.inf, np.nan])
    assert np.isnan([size.low, size.high, size.never]).all()
    assert math.isnan(size.level)
    assert size.status.tolist() == ["reachable", "unreachable", "unknown"]
    assert SizeForError.without_interval(jnp.array(2.0)).status == "reachable"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (SizeForError(9.0, 3.0, np.inf, 0.9, 0.2), [9.0, 3.0, None, 0.9, 0.2, "reachable"]),
        (SizeForError(np.inf, 3.0, np.inf, 0.9, 0.6), [None, 3.0, None, 0.9, 0.6, "unreachable"]),
        (SizeForError(np.inf, np.inf, np.inf, 0.9, 1.0), [None, None, None, 0.9, 1.0, "unreachable"]),
        (SizeForError(np.nan, np.nan, np.nan, 0.9, np.nan), [None, None, None, 0.9, None, "unknown"]),
        (SizeForError(9.0, np.nan, np.nan, math.nan, np.nan), [9.0, None, None, None, None, "reachable"]),
        (SizeForError(np.inf, np.nan, np.nan, math.nan, np.nan), [None, None, None, None, None, "unreachable"]),
    ],
)
def test_json_has_null_for_what_is_not_finite_and_the_status_restores_it(size, expected):
    plain = to_dict(Answer(size, {"law": size}))
    assert plain["by_method"]["law"] == plain["size"]
    assert plain["size"] == dict(zip(["value", "low", "high", "level", "never", "status"], expected, strict=True))
    back = from_dict(Answer, json.loads(json.dumps(plain, allow_nan=False)))
    for name in ("value", "low", "high", "level", "never"):
        np.testing.assert_array_equal(getattr(back.by_method["law"], name), getattr(size, name))


def test_json_of_a_batch():
    size = SizeForError(*np.array([[9.0, np.inf, np.nan], [3, 5, np.nan], [np.inf, np.inf, np.nan]]), 0.9, np.zeros(3))
    plain = to_dict(size)
    assert plain["value"] == [9.0, None, None]
    assert plain["status"] == ["reachable", "unreachable", "unknown"]
    back = from_dict(SizeForError, json.loads(json.dumps(plain)))
    np.testing.assert_array_equal([back.value, back.low, back.high], [size.value, size.low, size.high])


def test_draws_below_the_smallest_size_count_as_that_size_and_statuses_follow_the_range(x64):
    draws = np.array([[10.0, 60, 80, 120, 200], [150, 300, 400, 500, np.inf], [500, 600, 700, 800, 900]])
    smallest, largest = np.full(3, 100.0), np.full(3, 450.0)
    size = SizeForError.from_draws(np.median(draws, axis=1), draws, 0.9, smallest=smallest, largest=largest)
    np.testing.assert_array_equal(size.value, [100, 400, 700])
    np.testing.assert_array_equal(size.low, [100, 150, 500])
    np.testing.assert_allclose(size.at_smallest, [0.6, 0, 0])
    assert size.status.tolist() == ["at_or_below_smallest", "within", "beyond"]
    plain = to_dict(size)
    assert plain["smallest"] == [100, 100, 100]
    back = from_dict(SizeForError, json.loads(json.dumps(plain)))
    np.testing.assert_array_equal([back.low, back.high, back.at_smallest], [size.low, size.high, size.at_smallest])
    assert back.status.tolist() == size.status.tolist()


@pytest.mark.parametrize(
    ("smallest", "words"),
    [
        (25.0, "47 examples (80 % interval 33 to 64), beyond the largest size measured, 40"),
        (12.5, "46.6 examples (80 % interval 33.3 to 64.4), beyond the largest size measured, 40"),
    ],
)
def test_sizes_have_fractions_only_if_measured_ones_do(smallest, words):
    measured = {"smallest": np.array(smallest), "largest": np.array(40.0)}
    size = SizeForError.from_draws(np.array(46.6), np.array([33.3, 46.6, 64.4]), 0.8, **measured)
    assert describe_size(size, "examples") == words
    answer = {
        "size_for_error": size,
        "lasting_size_for_error": None,
        "assurance": {"share": 0.8, "size": 47.6, "low": 46.6, "high": np.nan, "status": "beyond"},
        "test_examples": None,
        "next_size": {"repeats": 1, "size": 47.6},
    }
    *_, assured, following = answer_sentences(answer, "Error 0.1", "examples")
    expected = ("from 48 examples on (47 or more).", "1 training with 48 examples.")
    if smallest % 1:
        expected = ("from 47.6 examples on (46.6 or more).", "1 training with 47.6 examples.")
    assert (assured.endswith(expected[0]), following.endswith(expected[1])) == (True, True)
