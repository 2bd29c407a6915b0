import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lcjax as lc
from lcjax.compression.fixed_point import downwards, half_up, nearest_even, saturate, stochastic, towards_zero, wrap
from lcjax.compression.quantization import margin, straight_through, widest_fraction_bits

DETERMINISTIC = (nearest_even, half_up, downwards, towards_zero)
numbers = st.lists(st.floats(-1e4, 1e4, width=32, allow_subnormal=False), min_size=7, max_size=7)
formats = st.tuples(st.integers(2, 24), st.integers(-3, 30))


def exact(value, bits, fraction, rounding, overflow):
    """Quantize in rational numbers."""
    scaled = Fraction(float(value)) * Fraction(2) ** fraction
    whole = {
        nearest_even: round,
        half_up: lambda x: math.floor(x + Fraction(1, 2)),
        downwards: math.floor,
        towards_zero: math.trunc,
    }[rounding](scaled)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    whole = min(max(whole, low), high) if overflow is saturate else (whole - low) % 2**bits + low
    return float(whole / Fraction(2) ** fraction)


@given(numbers, formats, st.sampled_from(DETERMINISTIC), st.sampled_from([saturate, wrap]))
def test_against_rational_arithmetic(values, form, rounding, overflow):
    values = np.array(values, np.float32)
    found = lc.quantize(values, *form, rounding=rounding, overflow=overflow).params
    expected = [exact(value, *form, rounding, overflow) for value in values]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("rounding", "overflow"),
    [(nearest_even, wrap), (half_up, saturate), (downwards, wrap), (towards_zero, saturate)],
    ids=lambda function: function.__name__,
)
def test_against_rational_arithmetic_in_double_precision(rounding, overflow):
    with jax.enable_x64(True):
        values = np.random.default_rng(0).normal(size=50) * 10.0 ** np.arange(-25, 25).clip(-9, 9)
        for bits, fraction in ((40, 20), (52, 3), (16, 40), (2, 0)):
            actual = lc.quantize(values, bits, fraction, rounding=rounding, overflow=overflow).params
            assert actual.dtype == np.float64
            np.testing.assert_array_equal(actual, [exact(v, bits, fraction, rounding, overflow) for v in values])


@given(numbers, formats, st.sampled_from(DETERMINISTIC), st.sampled_from([saturate, wrap]))
def test_idempotent_and_on_the_grid(values, form, rounding, overflow):
    options = {"rounding": rounding, "overflow": overflow}
    once = lc.quantize(np.array(values, np.float32), *form, **options).params
    np.testing.assert_array_equal(lc.quantize(once, *form, **options).params, once)
    whole = np.asarray(once, np.float64) * 2.0 ** form[1]
    np.testing.assert_array_equal(whole, np.round(whole))
    assert whole.min() >= -(2 ** (form[0] - 1))
    assert whole.max() <= 2 ** (form[0] - 1) - 1


@given(numbers, formats)
def test_the_error_in_range_is_at_most_half_a_step(values, form):
    bits, fraction = form
    values = np.array(values, np.float32)
    step = 2.0**-fraction
    inside = (values >= -(2 ** (bits - 1)) * step) & (values <= (2 ** (bits - 1) - 1) * step)
    for rounding, most in ((nearest_even, 0.5), (half_up, 0.5), (downwards, 1.0), (towards_zero, 1.0)):
        error = np.asarray(lc.quantize(values, bits, fraction, rounding=rounding).params, np.float64) - values
        assert np.all(np.abs(error[inside]) <= most * step)


@given(formats)
def test_saturation_ends_are_exact(form):
    bits, fraction = form
    found = lc.quantize(np.array([-3e38, 3e38], np.float32), bits, fraction)
    assert found.params.tolist() == [-(2 ** (bits - 1)) * 2.0**-fraction, (2 ** (bits - 1) - 1) * 2.0**-fraction]
    assert float(found.report.saturated) == 1


@pytest.mark.parametrize("dtype", [jnp.bfloat16, pytest.param(jnp.float16, marks=pytest.mark.slow), jnp.float32])
@pytest.mark.parametrize("bits", [8, 12, 24, 32])
def test_ends_that_a_dtype_cannot_hold_stay_inside(dtype, bits):
    fraction = bits - 4
    found = lc.quantize(jnp.asarray([100.0, -100.0, 0.3], dtype), bits, fraction).params
    assert found.dtype == dtype
    values = np.asarray(found, np.float64)
    assert 8 * (1 - 2.0**-7) <= values[0] <= 8 - 2.0**-fraction
    assert values[1] == -8
    np.testing.assert_array_equal(values * 2.0**fraction, np.round(values * 2.0**fraction))
    np.testing.assert_array_equal(lc.quantize(found, bits, fraction).params, found)


def test_fraction_bits_above_the_total():
    found = lc.quantize(np.array([0.01, -1.0, 0.001], np.float32), bits=4, fraction_bits=8).params
    assert found.tolist() == [3 / 256, -8 / 256, 0]


@pytest.mark.parametrize("place", [0.25, 0.9, 0.0])
def test_stochastic_rounding_is_unbiased(place):
    values = np.full(20000, -3 + place, np.float32)
    found = np.asarray(lc.quantize(values, 8, 0, rounding=stochastic, key=jax.random.key(1)).params)
    assert set(found.tolist()) <= {-3.0, -2.0}
    error = np.sqrt(place * (1 - place) / values.size)
    assert abs(found.mean() - values[0]) <= 5 * error + 1e-6


def test_stochastic_rounding_differs_between_tensors_and_keys():
    params = {"a": np.full(100, 0.5, np.float32), "b": np.full(100, 0.5, np.float32)}
    first, second = (lc.quantize(params, 8, 0, rounding=stochastic, key=jax.random.key(i)).params for i in (0, 1))
    assert not np.array_equal(first["a"], first["b"])
    assert not np.array_equal(first["a"], second["a"])


def test_formats_are_traced():
    params = {"a": np.array([0.3, -7.7], np.float32)}
    bits, fraction = jnp.array([4, 8, 16]), jnp.array([2, 4, 12])
    found = jax.jit(jax.vmap(lambda b, f: lc.quantize(params, b, f)))(bits, fraction)
    for i in range(3):
        one = lc.quantize(params, int(bits[i]), int(fraction[i]))
        np.testing.assert_array_equal(found.params["a"][i], one.params["a"])
        assert float(found.report.largest_error[i]) == float(one.report.largest_error)


def test_one_format_for_each_tensor():
    params = {"a": np.array([0.9], np.float32), "b": np.array([-4.3], np.float32)}
    fraction = widest_fraction_bits(params, 8, per_tensor=True)
    assert {name: int(f) for name, f in fraction.items()} == {"a": 7, "b": 4}
    found, report = lc.quantize(params, 8, fraction)
    assert found["a"].tolist() == [115 / 128]
    assert found["b"].tolist() == [-69 / 16]
    assert float(report.saturated) == 0
    assert int(widest_fraction_bits(params, 8)) == 4
    assert int(widest_fraction_bits({"a": np.zeros(2, np.float32)}, 8)) == 0


@given(numbers, st.integers(2, 16))
def test_widest_fraction_bits_saturate_nothing_and_one_more_would(values, bits):
    values = np.array(values, np.float32)
    fraction = int(widest_fraction_bits(values, bits))
    assert float(lc.quantize(values, bits, fraction).report.saturated) == 0
    if values.any() and fraction < 100:
        assert float(lc.quantize(values, bits, fraction + 1).report.saturated) > 0


def test_report():
    found = lc.quantize({"a": np.array([0.3, 0.01, 9.0, -2.0], np.float32), "b": np.zeros(4, np.float32)}, 4, 2)
    report = found.report
    assert float(report.largest_error) == pytest.approx(9 - 1.75)
    assert float(report.saturated) == 1 / 8
    assert float(report.zeros) == 5 / 8
    assert float(report.bits) == 32
    assert float(report.ratio) == 8


def test_what_where_leaves_out_is_untouched_and_counts_in_full():
    params = {"a": np.array([0.3], np.float32), "n": np.int32(7)}
    found = lc.quantize(params, 4, 2, where=lambda path, leaf: path == "a")
    assert int(found.params["n"]) == 7
    assert float(found.report.bits) == 4
    with pytest.raises(ValueError, match="'n' holds int32"):
        lc.quantize(params, 4, 2)


def test_nan_stays_nan():
    assert np.isnan(lc.quantize(np.array([np.nan], np.float32), 8, 4).params[0])


def test_gradients_pass_straight_through_inside_the_range():
    weight = {"w": jnp.array([0.3, -1.9, 2.5, -2.5])}
    loss = jax.jit(jax.value_and_grad(lambda p: jnp.sum(straight_through(p, 4, 2)["w"] ** 2)))
    value, gradient = loss(weight)
    quantized = lc.quantize(weight, 4, 2).params["w"]
    assert float(value) == float(jnp.sum(quantized**2))
    np.testing.assert_allclose(gradient["w"], 2 * quantized * np.array([1, 1, 0, 0]))
    np.testing.assert_array_equal(straight_through(weight, 4, 2)["w"], quantized)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 1, "fraction_bits": 0}, "got 1"),
        ({"bits": 8.5, "fraction_bits": 0}, r"8\.5"),
        ({"bits": 8, "fraction_bits": 200}, "200"),
        ({"bits": 8, "fraction_bits": {"x": 1}}, "pytree"),
        ({"bits": 8, "fraction_bits": np.array([1, 2])}, "pytree"),
        ({"bits": 8, "fraction_bits": 1, "rounding": stochastic}, "key"),
        ({"bits": 8, "fraction_bits": 1, "where": lambda path, leaf: False}, "none"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        lc.quantize({"w": np.ones(2, np.float32)}, **options)


def test_integer_leaves_are_refused_unless_left_out():
    counted = {"step": np.int32(3), "w": np.array([0.3], "f4")}
    with pytest.raises(ValueError, match=r"'step' holds int32.*where"):
        lc.quantize(counted, 8, 2)
    left = lc.quantize(counted, 8, 2, where=lambda path, leaf: path == "w").params
    assert (int(left["step"]), float(left["w"][0])) == (3, 0.25)


def test_margin_of_a_net_without_a_head_takes_all_weights():
    assert float(margin({"a": np.array([[2.0]]), "b": np.array([[1.0]]), "c": np.array([5.0])})) == pytest.approx(0.4)
    assert float(margin({"head": {"kernel": np.array([[0.0]])}})) == np.inf
