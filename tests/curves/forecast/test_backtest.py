"""Back-tests against scores written out for fits with given parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.forecast.backtest import anchor, back_test, observe
from lcjax.curves.forms import last_value, mmf, power_law
from lcjax.kernels.compilation import jit_by_size
from tests.problems import fit_with_parameters

SIZE = 100.0 * 2.0 ** np.arange(8)
FORMS = (last_value, power_law, mmf)
PARAMETERS = ((0.1,), (1.5, -0.3), (0.01, 0.9, -0.5, 300.0))
quick_observe = jit_by_size()(observe)


@jit_by_size()
def quick_test(fits, observed):
    return back_test(FORMS, fits, fits, observed)


def scores(error, early, rest):
    """Compute scores and trusts of the three forms, whose fits to early and to all sizes are the same."""
    curves = [0 * SIZE + 0.1, 1.5 * SIZE**-0.3, 0.01 + 0.89 / (1 + (SIZE / 300) ** 0.5)]
    lowest = np.log(error[error > 0].min()) - 3

    def trust(i, part):
        residual = np.log(error[part]) - np.log(curves[i][part])
        return 0 if i == 0 else np.clip(np.sum(residual[1:] * residual[:-1]) / np.sum(residual**2) / 0.5, 0, 1)

    result = []
    for i, fit in enumerate(curves):
        last = np.flatnonzero(early)[-1]
        moved = np.log(fit) + trust(i, early) * (np.log(error[last]) - np.log(fit[last]))
        result.append(np.sqrt(np.mean((np.maximum(moved, lowest) - np.log(error))[rest] ** 2)))
    return np.array(result), np.array([trust(i, early | rest) for i in range(3)])


def run(error, size=SIZE):
    fits = tuple(fit_with_parameters(form, *parameters) for form, parameters in zip(FORMS, PARAMETERS, strict=True))
    fits = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (1, *leaf.shape)), fits)
    observed = quick_observe(jnp.asarray(size), jnp.asarray(error)[None])
    return observed, jax.tree.map(lambda leaf: np.asarray(leaf)[0], quick_test(fits, observed))


def wavy(law, amplitude=0.05):
    return law * np.exp(amplitude * np.cos(np.arange(8)))


def test_weights_are_those_of_the_scores(x64):
    error = wavy(1.4 * SIZE**-0.3)
    observed, test = run(error)
    early = SIZE[-1] / 4 >= SIZE
    np.testing.assert_array_equal(observed.early[0], early)
    np.testing.assert_array_equal(observed.rest[0], ~early)
    score, trust = scores(error, early, ~early)
    rtol = 1e-9 if x64 else 1e-3
    np.testing.assert_allclose(test.score, score, rtol=rtol)
    np.testing.assert_allclose(test.trust, trust, rtol=rtol)
    weight = (0.01 + score) ** -2.0
    weight[1:] *= np.where(score[1:] > score[0], 0.1, 1)
    np.testing.assert_allclose(test.weight, weight / weight.sum(), rtol=rtol)
    np.testing.assert_allclose(test.ratio, np.log(4), rtol=1e-6)
    assert 0 < test.error < 0.2


def test_the_error_of_the_mixture_counts_half_an_observation_of_a_tenth(x64):
    """With the whole weight on the last value, its residuals are those of the mixture."""
    error = np.array([0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.1, 0.11])
    _, test = run(error)
    weight, logs = test.weight, []
    early = SIZE[-1] / 4 >= SIZE
    for i, fit in enumerate([0 * SIZE + 0.1, 1.5 * SIZE**-0.3, 0.01 + 0.89 / (1 + (SIZE / 300) ** 0.5)]):
        residual = (np.log(error) - np.log(fit))[early]
        trust = 0 if i == 0 else np.clip(np.sum(residual[1:] * residual[:-1]) / np.sum(residual**2) / 0.5, 0, 1)
        logs.append(np.log(fit) + trust * residual[-1])
    squares = np.sum((weight @ np.array(logs) - np.log(error))[~early] ** 2)
    expected = np.sqrt((squares + 0.5 * 0.1**2) / (np.sum(~early) + 0.5))
    np.testing.assert_allclose(test.error, expected, rtol=1e-9 if x64 else 1e-3)


def test_a_rising_curve_favours_the_last_value():
    falls, rises = wavy(1.4 * SIZE**-0.3), np.array([0.3, 0.25, 0.2, 0.18, 0.2, 0.25, 0.26, 0.27])
    for error, factor in ((falls, 1.0), (rises, 0.3)):
        _, test = run(error)
        weight = (0.01 + test.score) ** -2.0
        weight[1:] *= factor * np.where(test.score[1:] > test.score[0], 0.1, 1)
        np.testing.assert_allclose(test.weight, weight / weight.sum(), rtol=1e-4)


def test_without_a_test_the_last_value_has_a_thirtieth():
    error = np.where(np.arange(8) < 5, wavy(SIZE**-0.3), np.nan)
    error[1] = np.nan
    _, test = run(error)  # 4 sizes, of which no more than 2 are early: too few for mmf and for a test
    np.testing.assert_allclose(test.weight, np.array([1 / 30, 1, 0]) / (1 + 1 / 30), rtol=1e-5)
    np.testing.assert_allclose(test.error, 0.1, rtol=1e-5)
    np.testing.assert_allclose(test.ratio, np.log(4), rtol=1e-5)
    _, single = run(np.where(np.arange(8) == 3, 0.2, np.nan))
    np.testing.assert_allclose(single.weight, [1, 0, 0])


def test_sizes_are_sorted_and_zeros_raised(x64):
    size = np.array([3200.0, 100.0, 800.0, np.nan, 200.0, 400.0, 1600.0, 50.0])
    error = np.array([0.0, 0.5, 0.2, 0.9, 0.4, np.nan, 0.1, -0.1])
    observed = quick_observe(jnp.asarray(size), jnp.asarray(error)[None])
    count = 5
    np.testing.assert_array_equal(observed.size[0, :count], [100, 200, 800, 1600, 3200])
    np.testing.assert_array_equal(observed.present[0], np.arange(8) < count)
    np.testing.assert_allclose(np.exp(observed.log_error[0, :count]), [0.5, 0.4, 0.2, 0.1, 0.05], rtol=1e-5)
    np.testing.assert_allclose([observed.smallest_error[0], observed.largest[0], observed.cut[0]], [0.1, 3200, 800])
    assert (observed.early[0].sum(), observed.rest[0].sum()) == (3, 2)


@pytest.mark.parametrize(
    ("size", "cut", "early", "rest"),
    [
        ([100, 1000, 3000, 4000, 10_000], 1000, 2, 0),  # two sizes below a quarter: cut at the middle, no test
        ([100, 200, 400, 800, 4000], 1000, 4, 0),  # one held-out size is no test
        ([100, 300, 600, 2000, 10_000], 2500, 4, 0),
        ([100, 300, 1000, 8000, 10_000], 2500, 3, 2),
    ],
)
def test_the_cut(size, cut, early, rest):
    observed = observe(jnp.asarray(size, float), jnp.linspace(0.5, 0.1, 5))
    np.testing.assert_allclose(observed.cut, cut, rtol=1e-6)
    assert (int(observed.early.sum()), int(observed.rest.sum())) == (early, rest)


def test_the_anchor_moves_by_the_trusted_part_of_the_residual():
    np.testing.assert_allclose(anchor(np.array(-2.0), np.array(-1.5), np.array(-1.0), np.array(0.5), 0.5), -1.875)
