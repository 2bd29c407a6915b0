"""Saturation of the accuracy with the width: the paper's table, the formula in loops, monotonicity, noise."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.papers.bisla import TABLE_1
from lcjax.theory.dimension import effective_dimension
from lcjax.theory.widths.saturation import remaining_gains, saturation_dimension

WIDTH = np.arange(1, 9)
RESULTS = Path(__file__).parents[3] / "docs/results/dimension-mnist-lenet/dimension.json"
accuracies = st.lists(st.floats(0.1, 1.0), min_size=8, max_size=8).map(np.array)


def reference(width, accuracy, share, chance):
    order = np.argsort(width)
    for i, place in enumerate(order):
        gain = max([accuracy[wider] - accuracy[place] for wider in order[i + 1 :]] + [0.0])
        if gain <= share * (max(accuracy) - chance) + 1e-9:
            return width[place]
    raise AssertionError


def test_eight_of_nine_networks_have_the_dimension_of_the_paper():
    sweeps = json.loads(RESULTS.read_text())["dimension"]
    agree = []
    for name, sweep in zip(sweeps["name"], sweeps["sweeps"], strict=True):
        accuracy, error = np.array(sweep["accuracy"]), np.array(sweep["difference_error"])
        found = int(saturation_dimension(WIDTH, accuracy, error).value)
        agree.append(found == TABLE_1[tuple(map(int, name.removeprefix("lenet ").split("-")))])
    assert sum(agree) == 8


@given(seed=st.integers(0, 2**32 - 1), accuracy=accuracies, share=st.floats(0.001, 0.3), chance=st.floats(0, 0.1))
def test_the_formula_holds_in_any_order(seed, accuracy, share, chance, x64):
    dtype, order = (np.float64 if x64 else np.float32), np.random.default_rng(seed).permutation(8)
    accuracy = accuracy.astype(dtype)
    gain = np.array([max(0, accuracy[i:].max() - accuracy[i]) for i in range(8)])
    if np.any(abs(gain - share * (accuracy.max() - chance)) < 1e-5):
        return
    found = saturation_dimension(WIDTH[order], accuracy[order], share=share, chance=chance)
    assert found.value == reference(WIDTH, accuracy, share, chance)
    np.testing.assert_allclose(found.gain, gain[order], atol=1e-6)
    assert found.gain.dtype == dtype


@given(accuracy=accuracies, share=st.floats(0.001, 0.2), more=st.floats(0, 0.2))
def test_a_larger_share_never_gives_a_larger_width(accuracy, share, more):
    smaller, larger = (saturation_dimension(WIDTH, accuracy, share=s).value for s in (share, share + more))
    assert larger <= smaller


def test_the_reference_network_does_not_enter_but_widths_below_it_do():
    """Accuracies that all stay 5 % below the network: none is non-inferior, but they saturate at 3."""
    accuracy = np.array([0.4, 0.6, 0.7, 0.704, 0.703, 0.705, 0.701, 0.704])
    assert not effective_dimension(WIDTH, accuracy, 0.002, 0.75).established
    found = saturation_dimension(WIDTH, accuracy, 0.002)
    assert (int(found.value), bool(found.established)) == (3, True)
    assert not saturation_dimension(WIDTH, accuracy, 0.02).established
    rising = saturation_dimension(WIDTH, np.linspace(0.1, 0.9, 8), 0.001)
    assert (int(rising.value), bool(rising.established)) == (8, False)  # nothing wider shows saturation


def test_errors_of_gains_and_missing_widths():
    accuracy = np.array([0.5, np.nan, 0.9, 0.8])
    gain, error = remaining_gains(np.array([1, 2, 3, 4]), accuracy, np.array([0.03, 0.1, 0.04, 0.1]))
    np.testing.assert_allclose(gain, [0.4, np.nan, 0, 0])
    np.testing.assert_allclose(error, [0.05, np.nan, 0, 0])
    assert int(saturation_dimension(np.array([1, 2, 3, 4]), accuracy).value) == 3


def test_batches_jit_and_seeds_in_any_order():
    rng = np.random.default_rng(0)
    seeds = np.sort(rng.uniform(0.3, 1, (3, 5, 8)), axis=-1)
    expected = saturation_dimension(WIDTH, seeds.mean(axis=1), 0.01)
    permuted = saturation_dimension(WIDTH, seeds[:, [3, 0, 4, 1, 2]].mean(axis=1), 0.01)
    traced = jax.jit(lambda a: saturation_dimension(WIDTH, a, 0.01))(jnp.asarray(seeds.mean(axis=1)))
    for other in (permuted, traced):
        np.testing.assert_array_equal(other.value, expected.value)
        np.testing.assert_allclose(other.gain, expected.gain, atol=1e-6)
    single = saturation_dimension(WIDTH, seeds[1].mean(axis=0), 0.01)
    assert int(single.value) == int(expected.value[1])


def test_wrong_arguments_raise():
    with pytest.raises(ValueError, match=r"\[0, 1\), got 1\.0"):
        saturation_dimension(WIDTH, np.ones(8), share=1.0)
    with pytest.raises(ValueError, match=r"\(8,\), \(7,\)"):
        saturation_dimension(WIDTH, np.ones(7))
