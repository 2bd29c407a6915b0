"""Minibatches: uniform, and permutations of every traced size."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from lcjax.training.sampling import epochs, with_replacement


@functools.partial(jax.jit, static_argnames=("sampling", "batch", "steps"))
def drawn(seed, size, *, sampling, batch, steps):
    """Return the positions of all steps in sequence; the size is traced."""
    key = jax.random.key(seed)
    return jax.vmap(lambda step: sampling(key, step, size, batch=batch))(jnp.arange(steps)).ravel()


@given(seed=st.integers(0, 2**31 - 1), size=st.integers(1, 400))
def test_every_epoch_is_a_permutation(seed, size):
    positions = np.asarray(drawn(seed, size, sampling=epochs, batch=16, steps=60))
    for first in range(0, len(positions) - size + 1, size):
        np.testing.assert_array_equal(np.sort(positions[first : first + size]), np.arange(size))
    assert 0 <= positions.min() <= positions.max() < size


@pytest.mark.parametrize("size", [1000, 50_000, 1_281_167])
def test_a_large_epoch_is_a_permutation(size):
    steps = -(-size // 4096)
    positions = np.asarray(drawn(5, size, sampling=epochs, batch=4096, steps=steps))[:size]
    np.testing.assert_array_equal(np.bincount(positions, minlength=size), 1)


def test_permutations_of_four_are_uniform():
    """All 24 orders of four examples are equally frequent over epochs and keys (chi-square test)."""
    orders = np.concatenate(
        [np.asarray(drawn(seed, 4, sampling=epochs, batch=4, steps=480)).reshape(-1, 4) for seed in range(10)]
    )
    counts = np.unique(orders @ [64, 16, 4, 1], return_counts=True)[1]
    assert len(counts) == 24
    assert scipy.stats.chisquare(counts).pvalue > 1e-4


def test_neighbors_in_an_epoch_are_unrelated():
    """The position of an example is independent of the next example's, and of its position in the next epoch."""
    positions = np.asarray(drawn(1, 1000, sampling=epochs, batch=1000, steps=20)).reshape(20, 1000).astype(float)
    place = np.argsort(positions, axis=1).astype(float)
    for first, second in [(place[:, :-1], place[:, 1:]), (place[:-1], place[1:])]:
        correlation = np.corrcoef(first.ravel(), second.ravel())[0, 1]
        assert abs(correlation) < 5 / np.sqrt(first.size)


@pytest.mark.parametrize("size", [2, 7, 500])
def test_draws_with_replacement_are_uniform(size):
    positions = np.asarray(drawn(2, size, sampling=with_replacement, batch=100, steps=500))
    counts = np.bincount(positions, minlength=size)
    assert len(counts) == size
    assert scipy.stats.chisquare(counts).pvalue > 1e-4
