"""Families of curves against the published forms that they contain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.forecast import families as known
from lcjax.curves.forecast.families import FAMILIES, Shape, check_families

SPAN = 3.0
TIME = np.linspace(-SPAN, 1.5, 19)
SIZE = np.exp(TIME)


def relative(error):
    """Return log errors less that at the largest size, t = 0."""
    at_largest = np.interp(0.0, TIME, np.log(error))
    return np.log(error) - at_largest


def evaluate(curve, *u):
    run = jax.jit(lambda u, time, span: curve(u, time, span).log_error(time))
    return np.asarray(run(jnp.array(u), jnp.asarray(TIME), jnp.asarray(SPAN)))


def share(logit):
    return 1 / (1 + np.exp(-logit))


def with_floor(reducible, logit):
    """Add an irreducible share of the error at t = 0, where `reducible` is one."""
    return share(logit) + (1 - share(logit)) * reducible


TOLERANCE = {"rtol": 2e-4, "atol": 2e-5}


def test_power_law_and_its_floor():
    expected = with_floor(SIZE**-0.5, -1.0)
    np.testing.assert_allclose(evaluate(known.power_law_with_floor, np.log(0.5), -1.0), np.log(expected), **TOLERANCE)


@pytest.mark.parametrize(("c", "w"), [(1.0, 1.0), (0.5, 2.0), (1.5, 0.3)])
def test_the_sigmoid_is_a_shifted_power_law_or_mmf(c, w):
    m = np.exp(-0.5 * SPAN + (0.4 * SPAN + 0.5) * 0.4)

    def curve(x):
        return (1 + (x / m) ** (1 / w)) ** (-c * w)

    expected = np.log(with_floor(curve(SIZE) / curve(1.0), 0.3))
    np.testing.assert_allclose(evaluate(known.sigmoid, np.log(c), np.log(w), 0.4, 0.3), expected, **TOLERANCE)


def test_one_break_is_the_broken_power_law():
    p, q, w, place = 0.2, 0.9, 0.4, 0.6
    m = np.exp(-0.45 * SPAN + (0.25 * SPAN + 0.1) * place)

    def curve(x):
        return x**-p * (1 + (x / m) ** (1 / w)) ** (-(q - p) * w)

    expected = np.log(with_floor(curve(SIZE) / curve(1.0), -2.0))
    actual = evaluate(known.one_break, np.log(p), np.log(q), np.log(w), place, -2.0)
    np.testing.assert_allclose(actual, expected, **TOLERANCE)


def test_the_stretched_exponential_is_weibull():
    p, m = 0.7, np.exp(-0.4 * SPAN + (0.4 * SPAN + 0.5) * -0.3)

    def curve(x):
        return np.exp(-((x / m) ** p))

    expected = np.log(with_floor(curve(SIZE) / curve(1.0), 0.0))
    np.testing.assert_allclose(evaluate(known.stretched_exponential, np.log(p), -0.3, 0.0), expected, **TOLERANCE)


@pytest.mark.parametrize("curve", ["double_descent", "two_falls"])
def test_slopes_of_curves_with_two_breaks(curve):
    """Far from their breaks the curves have the slopes of their parameters."""
    narrow, gone = np.log(0.02), -40.0
    u = {"double_descent": (0.0, -0.7, 0.5, narrow, 0.0, 0.0, gone), "two_falls": (0.3, -0.8, narrow, 0.0, 0.0, gone)}
    slopes = {
        "double_descent": (-1.0, np.exp(-0.7), -np.exp(0.5)),
        "two_falls": (0, -np.exp(0.3), -np.exp(0.3) * share(-0.8)),
    }
    breaks = {"double_descent": (-0.5 * SPAN, -0.28 * SPAN), "two_falls": (-0.65 * SPAN, -0.3 * SPAN)}
    first, second = breaks[curve]
    shape = getattr(known, curve)(jnp.array(u[curve]), jnp.asarray(TIME), jnp.asarray(SPAN))
    for at, slope in zip((first - 0.4, (first + second) / 2, second + 0.4), slopes[curve], strict=True):
        low, high = np.asarray(shape.log_error(jnp.array([at - 0.05, at + 0.05])))
        np.testing.assert_allclose((high - low) / 0.1, slope, rtol=0.01, atol=1e-3)


def test_draws_from_every_prior_are_finite_and_zero_at_the_largest_size():
    for family in FAMILIES:
        z = jax.random.normal(jax.random.key(0), (200, family.dimension))
        time = jnp.array([-SPAN, -0.1, 0.0, 2.0])

        def one(u, curve=family.curve, time=time):
            return curve(u, time, jnp.asarray(SPAN)).log_error(time)

        values = jax.jit(jax.vmap(one))(family.location + family.scale * z)
        assert np.all(np.isfinite(values)), family.name
        np.testing.assert_allclose(values[:, 2], 0.0, atol=1e-5)


@pytest.mark.parametrize(
    ("b", "a", "logit", "place"), [(0.7, 1.0, -1.0, 0.3), (0.3, 1.6, 0.5, -1.5), (1.4, 0.6, -30.0, 1.2)]
)
def test_the_rectified_law_of_fine_tuning(b, a, logit, place):
    m = np.exp(-0.5 * SPAN + (0.4 * SPAN + 0.5) * place)
    learned = m**b  # the pre-learned data size
    # B from the share of the floor E at the largest size, where (B / (D + 1) + E) is 1.
    floor = share(logit)
    scale = (1 - floor) * (learned + 1)
    expected = a * np.log(scale / (learned + SIZE**b) + floor)
    u = jnp.array([np.log(b), place, np.log(a), logit])
    actual = known.power_law_with_pretraining(u, jnp.asarray(TIME), jnp.asarray(SPAN))
    np.testing.assert_allclose(actual, expected, **TOLERANCE)


def test_the_fine_tuning_family_is_flat_and_then_a_power_law():
    family = known.fine_tuning(log_weight=0.5)
    assert family.name not in {other.name for other in FAMILIES}
    assert (family.dimension, family.log_weight, family.from_chance) == (4, 0.5, False)
    narrow = jnp.array([np.log(2.0), 0.0, np.log(0.5), -40.0])  # the position is -SPAN / 2
    for at, slope in ((-12.0, 0.0), (10.0, -1.0)):
        low, high = np.asarray(family.curve(narrow, jnp.array([at - 0.05, at + 0.05]), jnp.asarray(SPAN)))
        np.testing.assert_allclose((high - low) / 0.1, slope, atol=1e-3)
    z = jax.random.normal(jax.random.key(0), (200, family.dimension))
    values = jax.vmap(lambda u: family.curve(u, jnp.array([-SPAN, 0.0, 2.0]), jnp.asarray(SPAN)))(
        family.location + family.scale * z
    )
    assert np.all(np.isfinite(values))
    np.testing.assert_allclose(values[:, 1], 0.0, atol=1e-5)


def test_a_shape_without_parts_is_flat():
    np.testing.assert_array_equal(Shape().log_error(jnp.asarray(TIME)), 0.0)


def test_the_exponent_of_the_nearest_neighbor_family():
    family = known.nearest_neighbor(8.0, log_standard_deviation=0.2)
    np.testing.assert_allclose(np.exp(family.location[0]), 1 / 8, rtol=1e-6)
    np.testing.assert_allclose(family.scale[0], 0.2, rtol=1e-6)


def test_what_is_no_family_is_named():
    with pytest.raises(ValueError, match=r"a sequence of Family records, .* got \['power_law'\] among them"):
        check_families([["power_law"]])
