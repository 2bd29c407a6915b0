"""Statistics of residuals against loops in NumPy; conditioning of small Jacobians."""

import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.fit.diagnostics import is_ill_conditioned, residual_statistics
from lcjax.kernels.compilation import jit_by_size


def reference(z, y, residual):
    """Write out the statistics of one curve."""
    distinct = 1 + sum(z[1:] - z[:-1] > 1e-9)
    rise = max([0.0, *(y[i] - min(y[:i]) for i in range(1, len(y)))])
    pseudo = []
    for i in range(1, len(z) - 1):
        share = (z[i] - z[i - 1]) / (z[i + 1] - z[i - 1])
        deviation = y[i] - (1 - share) * y[i - 1] - share * y[i + 1]
        pseudo.append(deviation**2 / (1 + share**2 + (1 - share) ** 2))
    noise = np.sqrt(np.mean(pseudo)) if pseudo else np.inf
    return distinct, rise, noise, np.sum(residual[1:] * residual[:-1]) / np.sum(residual**2)


def test_statistics_are_those_of_the_present_sizes(x64):
    rng = np.random.default_rng(0)
    z, y, residual = (np.array(a) for a in (np.sort(rng.normal(size=(3, 9))), *rng.normal(size=(2, 3, 9))))
    z[0, 3] = z[0, 2]  # a repeated size
    present = np.ones((3, 9), bool)
    present[1, [0, 4]] = False
    present[2, 2:] = False
    columns = [jnp.asarray(a.T) for a in (z, y, np.where(present, residual, 0), present)]
    statistics = jit_by_size()(residual_statistics)(*columns)
    for i, here in enumerate(present):
        expected = reference(z[i, here], y[i, here], residual[i, here])
        actual = [getattr(statistics, name)[i] for name in ("distinct", "rise", "noise", "correlation")]
        np.testing.assert_allclose(actual, expected, rtol=1e-9 if x64 else 1e-4)


def test_a_line_has_no_noise_and_no_rise():
    z = jnp.array([0.0, 1.0, 1.5, 4.0])[:, None]
    statistics = jit_by_size()(residual_statistics)(z, 1 - z, jnp.zeros((4, 1)), jnp.ones((4, 1), bool))
    np.testing.assert_allclose([statistics.rise, statistics.noise, statistics.correlation], 0, atol=1e-6)


@jit_by_size()
def _is_linear_model_ill_conditioned(matrix, free):
    return is_ill_conditioned(lambda u: matrix @ u, jnp.ones((2, 1)), free)


@pytest.mark.parametrize(
    ("matrix", "free", "expected"),
    [
        ([[1, 0], [0, 1], [1, 1]], [1, 1], False),
        ([[1, 1], [2, 2], [1, 1.0001]], [1, 1], True),  # almost equal columns
        ([[1, 1], [2, 2], [1, 1.1]], [1, 1], False),
        ([[1, 1], [2, 2], [1, 1]], [1, 0], False),  # one of them at a bound
        ([[1, 1e-7], [2, 0], [1, 0]], [1, 1], True),  # a negligible column
        ([[1, 1e-5], [2, 0], [1, 0]], [1, 1], False),
    ],
)
def test_conditioning_of_a_linear_model(matrix, free, expected):
    matrix = jnp.asarray(matrix, float)
    verdict = _is_linear_model_ill_conditioned(matrix, jnp.asarray(free, bool)[:, None])
    assert verdict.tolist() == [expected]
