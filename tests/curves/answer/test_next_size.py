"""Information of measurements against closed forms of normal draws, and the choice among candidates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from lcjax.curves.answer import next_size
from lcjax.curves.answer.next_size import default_candidates, expected_information, label_cost, select

RNG = np.random.default_rng(0)


def normal_deviates(count):
    return scipy.stats.norm.ppf((np.random.default_rng(3).permutation(count) + 0.5) / count)


@pytest.mark.parametrize("signal", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("repeats", [1, 4])
def test_information_about_a_normal_quantity_is_the_gaussian_channel(signal, repeats, x64):
    count = 1024
    level = normal_deviates(count)  # log size = level, log error = signal * level + noise
    outcome = np.roll(normal_deviates(count), 17)
    none, noise = np.zeros((count, 1)), np.ones((count, 1))
    rest = outcome, np.array(1e6), np.exp(level + 9), np.array(1.0)
    nats = expected_information((signal * level)[:, None], none, noise, *rest, repeats=(repeats,))
    # A power p of a normal likelihood divides the precision of the outcome by 1 / p, while the outcomes keep theirs.
    precision = next_size._POWER * signal**2 * repeats
    exact = 0.5 * np.log1p(precision)
    np.testing.assert_allclose(nats[0, 0], exact, atol=0.04 + 0.12 * exact)


def test_numpy_jax_and_vmap_agree(x64):
    log_error, noise = RNG.normal(size=(2, 64, 3)), np.full((2, 64, 3), 0.3)
    size = np.exp(RNG.normal(9, 1, (2, 64)))
    size[:, :5], size[:, 5:9] = np.inf, 10.0
    outcome, degrees, smallest = RNG.normal(size=64), np.array(4.0), np.array(10.0)
    rows = [
        expected_information(e, s / 3, s, outcome, degrees, t, smallest)
        for e, s, t in zip(log_error, noise, size, strict=True)
    ]
    rest = jnp.asarray(outcome), jnp.asarray(4.0)

    def one(error, noise, size):
        return expected_information(error, noise / 3, noise, *rest, size, jnp.asarray(10.0))

    mapped = jax.vmap(one)(*(jnp.asarray(a) for a in (log_error, noise, size)))
    np.testing.assert_allclose(mapped, rows, rtol=1e-9 if x64 else 2e-3, atol=1e-12 if x64 else 1e-4)


def test_what_is_certain_cannot_be_informed(x64):
    flat = np.full(64, np.inf)
    ones, rest = np.ones((64, 2)), (RNG.normal(size=64), np.array(5.0), flat, np.array(10.0))
    nats = expected_information(RNG.normal(size=(64, 2)), ones, ones, *rest)
    np.testing.assert_allclose(nats, 0.0, atol=1e-12)


def test_the_choice_maximizes_information_by_cost_and_ignores_absent_sizes():
    sizes = np.array([[100.0, 200.0, np.nan, 400.0], [100.0, 200.0, 300.0, 400.0]])
    nats = RNG.uniform(0.1, 1.0, (2, 4, 3))
    nats[0, 2] = 50.0
    largest = np.array([200.0, 300.0])
    plan = select(sizes, nats, largest)
    for b in range(2):
        rate = nats[b] / label_cost(sizes[b][:, None], np.array([1, 2, 4]), np.asarray(largest[b]))
        i, j = np.unravel_index(np.nanargmax(rate), rate.shape)
        assert (plan.size[b], plan.repeats[b]) == (sizes[b, i], (1, 2, 4)[j])
    assert plan.candidates.shape == plan.cost.shape == (2, 12)
    by_labels = select(sizes, nats, largest, cost=lambda size, repeats, largest: size * repeats)
    np.testing.assert_allclose(by_labels.cost[1, :3], [100, 200, 400])


def test_candidates_are_the_measured_sizes_and_a_grid_beyond_them():
    measured = np.array([[100.0, 200.0, np.nan], [10.0, 20.0, 30.0]])
    candidates = default_candidates(measured, np.array([200.0, 30.0]))
    np.testing.assert_array_equal(candidates[:, :3], measured)
    np.testing.assert_allclose(candidates[:, 3:], np.array([[200.0], [30.0]]) * 2 ** (np.arange(1, 17) / 4))
