"""Streamed inputs: the order, time and threads of reads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.data.streamed import LEAST, Streamed, fetch_rows, read_in_threads, take_rows


def streamed(read=lambda i: np.array([i, i * i], np.float32), index=None):
    index = np.arange(0, 200, 2) if index is None else index
    return Streamed(read, index, (2,), np.dtype(np.float32), "squares")


def test_rows_are_read_in_the_order_in_which_they_are_asked_for():
    inputs = streamed()
    assert (inputs.shape, inputs.ndim, len(inputs)) == ((100, 2), 2, 100)
    rows = np.random.default_rng(0).permutation(100)
    np.testing.assert_array_equal(inputs[rows], np.stack([2 * rows, 4 * rows**2], axis=1))
    assert inputs[rows].dtype == np.float32
    assert inputs[rows[:0]].shape == (0, 2)
    assert inputs[rows[:1]].tolist() == [[2 * rows[0], 4 * rows[0] ** 2]]


def test_taking_rows_reads_nothing():
    calls = []
    part = streamed(lambda i: calls.append(i) or np.zeros(2, np.float32)).take(np.array([3, 1]))
    assert (part.index.tolist(), calls) == ([6, 2], [])


def test_an_input_of_another_shape_or_dtype_is_refused():
    for value, message in ((np.zeros(3, np.float32), r"float32 of shape \(3,\)"), (np.zeros(2), "float64 of shape")):
        inputs = streamed(lambda i, value=value: value if i == 6 else np.zeros(2, np.float32))
        inputs[np.array([0, 1, 2])]
        with pytest.raises(ValueError, match=rf"Input 6 of squares is {message}.* not float32 of \(2,\)"):
            inputs[np.arange(5)]


def test_conversion_to_an_array_is_refused():
    with pytest.raises(ValueError, match=r"inputs of squares, \(100, 2\), are streamed"):
        np.asarray(streamed())


def test_a_fingerprint_covers_identity_shape_and_rows():
    inputs = streamed()
    assert inputs.fingerprint() == streamed(lambda i: 1 / 0).fingerprint()
    assert inputs.fingerprint() != inputs.take(np.arange(99)).fingerprint()
    other = Streamed(inputs.read, inputs.index, (2,), inputs.dtype, "cubes")
    assert inputs.fingerprint() != other.fingerprint()


def test_rows_of_arrays_and_of_streams():
    array, inputs, rows = np.arange(12).reshape(6, 2), streamed(), np.array([4, 0])
    np.testing.assert_array_equal(take_rows(array, rows), array[rows])
    np.testing.assert_array_equal(fetch_rows(jnp.asarray(array), rows), array[rows])
    assert isinstance(take_rows(inputs, rows), Streamed)
    np.testing.assert_array_equal(fetch_rows(inputs, rows), inputs[rows])


@pytest.mark.parametrize("n", [0, 1, 5, 1000])
def test_threads_share_all_rows(n):
    parts = read_in_threads(list, n)
    assert sum(map(len, parts)) == n
    assert len(parts) == n if n < LEAST else len(parts) >= LEAST
    for first, part in enumerate(parts):
        assert part == list(range(first, n, len(parts)))


def test_readers_run_under_the_callers_settings_of_jax():
    with jax.enable_x64(True):
        inputs = Streamed(lambda i: np.asarray(jnp.ones(2)), np.arange(9), (2,), np.dtype(np.float64), "ones")
        assert inputs[np.arange(9)].sum() == 18
