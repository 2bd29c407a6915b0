"""Fits of one form: exact recovery, SciPy's minima, few points, ragged batches, bad input."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

from lcjax.curves import forms
from lcjax.curves.fit.curve_fit import CurveFit
from lcjax.curves.fit.exponent_prior import ExponentPrior
from lcjax.curves.fit.fit_curve import fit_curve
from lcjax.curves.fit.residual_losses import absolute, huber
from lcjax.curves.learning_curve import LearningCurve, curve_from_replicates
from lcjax.records import from_dict, to_dict

SIZE = np.geomspace(20, 20_000, 30)
DOUBLE = pytest.mark.parametrize("x64", [True], indirect=True, ids=["x64"])
"""For tests whose compilation is long and whose subject does not depend on the precision."""
TRUTH = {
    forms.last_value: (0.3,),
    forms.linear: (0.5, -2e-5),
    forms.logarithm: (0.6, -0.05),
    forms.power_law: (1.2, -0.3),
    forms.power_law_offset: (0.05, 1.3, -0.4),
    forms.shifted_power_law: (0.05, 2.0, -0.6, 70.0),
    forms.m3: (1.0, -0.4, 0.001),
    forms.m4: (0.05, 0.8, 1.7, 12.0, -0.9),
    forms.mmf: (0.05, 0.8, -0.9, 200.0),
    forms.weibull: (0.1, 0.6, 300.0, 0.5),
    forms.janoschek: (0.1, 0.6, 0.01, 0.8),
    forms.exponential: (0.1, 0.6, 900.0),
    forms.inverse_logarithm: (0.01, 1.0),
    forms.vapor_pressure: (-0.3, 6.0, -0.2),
    forms.broken_power_law: (0.03, 1.0, -0.1, -0.5, 800.0, 0.3),
    forms.twice_broken_power_law: (0.02, 1.0, -0.3, 0.5, 150.0, 0.2, -0.8, 2500.0, 0.25),
}
FORMULA = {
    forms.power_law_offset: lambda n, o, a, b: o + a * n**b,
    forms.shifted_power_law: lambda n, o, a, b, s: o + a * (n + s) ** b,
    forms.m3: lambda n, a, b, g: a * (1 / n + g) ** -b,
    forms.mmf: lambda n, o, s, b, m: o + (s - o) / (1 + (n / m) ** -b),
    forms.weibull: lambda n, o, a, w, k: o + a * np.exp(-((n / w) ** k)),
    forms.janoschek: lambda n, o, a, r, k: o + a * np.exp(-r * n**k),
    forms.inverse_logarithm: lambda n, o, a: o + a / np.log(n),
    forms.vapor_pressure: lambda n, i, r, b: np.exp(i + r / n + b * np.log(n)),
    forms.broken_power_law: lambda n, o, a, b, c, d, f: o + a * n**b * (1 + (n / d) ** (1 / f)) ** (c * f),
    forms.twice_broken_power_law: lambda n, o, a, b, c, d, f, c2, d2, f2: (
        o + a * n**b * (1 + (n / d) ** (1 / f)) ** (c * f) * (1 + (n / d2) ** (1 / f2)) ** (c2 * f2)
    ),
}


def curve_of(form, parameters=None, size=SIZE):
    size = jnp.asarray(size)
    return LearningCurve(size, form(size, *(parameters or TRUTH[form])))


def noisy(form=forms.power_law_offset, parameters=(0.05, 1.3, -0.4), noise=0.03, seed=0, size=SIZE):
    exact = np.asarray(curve_of(form, parameters, size).error)
    return LearningCurve(
        jnp.asarray(size), jnp.asarray(exact * np.exp(noise * np.random.default_rng(seed).normal(size=exact.shape)))
    )


@DOUBLE
@pytest.mark.parametrize("form", FORMULA, ids=lambda f: f.__name__)
def test_forms_are_their_formulas(form, x64):
    np.testing.assert_allclose(curve_of(form).error, FORMULA[form](SIZE, *TRUTH[form]), rtol=1e-12 if x64 else 1e-5)


def test_m4_solves_its_equation(x64):
    offset, start, power, scale, exponent = TRUTH[forms.m4]
    error = np.asarray(curve_of(forms.m4).error, float)
    left = (error - offset) / (start - error) ** power
    np.testing.assert_allclose(left, scale * SIZE**exponent, rtol=1e-10 if x64 else 1e-3)


RISES = (forms.last_value, forms.twice_broken_power_law)


@pytest.mark.parametrize("form", [f for f in TRUTH if f not in RISES], ids=lambda f: f.__name__)
@DOUBLE
def test_inverse_returns_the_size(form, x64):
    size = SIZE[SIZE < 2000]  # farther on the exponential forms differ from their offset by rounding alone
    error = curve_of(form, size=size).error
    np.testing.assert_allclose(form.inverse(error, *TRUTH[form]), size, rtol=1e-8)


def recovers(form, tolerance):
    fit = fit_curve(curve_of(form), form)
    assert bool(fit.converged)
    for name, value in zip(form.parameters, TRUTH[form], strict=True):
        np.testing.assert_allclose(fit.parameters[name], value, rtol=tolerance, err_msg=name)
    far = jnp.asarray([1e5])
    np.testing.assert_allclose(fit.predict(far), form(far, *TRUTH[form]), rtol=tolerance)


def test_exact_curves_are_recovered(x64):
    recovers(forms.power_law_offset, 1e-6 if x64 else 1e-3)


@DOUBLE
@pytest.mark.parametrize("form", [f for f in TRUTH if f is not forms.power_law_offset], ids=lambda f: f.__name__)
def test_exact_curves_of_every_form_are_recovered(form, x64):
    recovers(form, 1e-6)


@pytest.mark.parametrize("x64", [False], indirect=True, ids=["x32"])
@pytest.mark.parametrize("form", [forms.shifted_power_law, forms.mmf], ids=lambda f: f.__name__)
def test_exact_curves_are_recovered_in_single_precision(form, x64):
    recovers(form, 1e-3)


def scipy_best(form, curve, starts=10):
    """SciPy's smallest sum of squares over random starts, in the natural parameters within the same bounds."""
    y = np.asarray(curve.error, float)
    rng = np.random.default_rng(0)
    centre = np.sqrt(SIZE[0] * SIZE[-1])
    b = np.log([1e-4, 20.0])

    def residuals(v):
        if form is forms.power_law_offset:
            p = v[0] + np.exp(v[1]) * (SIZE / centre) ** -np.exp(v[2])
        elif form is forms.shifted_power_law:
            s = np.exp(v[3])
            p = v[0] + np.exp(v[1]) * ((SIZE / centre + s) / (1 + s)) ** -np.exp(v[2])
        elif form is forms.mmf:
            d, m = np.exp(v[2]), v[3]
            p = v[0] + np.exp(v[1]) * (1 + np.exp(-d * m)) / (1 + np.exp(d * (np.log(SIZE / centre) - m)))
        else:
            f, m = np.exp(v[5]), v[4]
            bend = f * (np.logaddexp(0, (np.log(SIZE / centre) - m) / f) - np.logaddexp(0, -m / f))
            p = v[0] + np.exp(v[1] - np.exp(v[2]) * np.log(SIZE / centre) - (np.exp(v[3]) - np.exp(v[2])) * bend)
        return np.log(np.maximum(p, 1e-300)) - np.log(y)

    half = np.log(SIZE[-1] / centre)
    extra = {
        forms.power_law_offset: ([], []),
        forms.shifted_power_law: ([-half - 30], [half + 4]),
        forms.mmf: ([-half - 10], [half + 10]),
        forms.broken_power_law: ([b[0], -half, np.log(0.02)], [b[1], half, np.log(5.0)]),
    }[form]
    low = np.array([0.0, np.log(y.min()) - 10, b[0], *extra[0]])
    high = np.array([y.min(), np.log(y.max()) + 10, b[1], *extra[1]])
    first = (
        np.array(
            [0.0, np.log(y.min()) - 1, np.log(0.05), *np.maximum(extra[0], [np.log(0.05), -half, -2][-len(extra[0]) :])]
        )
        if extra[0]
        else np.array([0.0, np.log(y.min()) - 1, np.log(0.05)])
    )
    last = (
        np.array([0.9 * y.min(), np.log(y.max()), np.log(3.0), *np.minimum(extra[1], half)])
        if extra[1]
        else np.array([0.9 * y.min(), np.log(y.max()), np.log(3.0)])
    )
    best = np.inf
    for _ in range(starts):
        start = np.clip(rng.uniform(np.minimum(first, last), np.maximum(first, last)), low + 1e-9, high - 1e-9)
        found = scipy.optimize.least_squares(residuals, start, bounds=(low, high), xtol=1e-15, ftol=1e-15, gtol=1e-15)
        best = min(best, 2 * found.cost)
    return best


def random_curves(form, count, seed=0):
    rng = np.random.default_rng(seed)
    exact = []
    for _ in range(count):
        offset, scale, exponent = rng.uniform(0.0, 0.2), rng.uniform(0.5, 3), -rng.uniform(0.15, 1.0)
        parameters = {
            forms.power_law_offset: (offset, scale, exponent),
            forms.shifted_power_law: (offset, scale, exponent, rng.uniform(1, 200)),
            forms.mmf: (offset, offset + rng.uniform(0.2, 0.8), exponent, np.exp(rng.uniform(3, 8))),
            forms.broken_power_law: (
                offset, scale, exponent / 3, exponent, np.exp(rng.uniform(4, 8)), rng.uniform(0.1, 1)
            ),
        }[form]  # fmt: skip
        exact.append(np.asarray(FORMULA[form](SIZE, *parameters)))
    return np.stack(exact) * np.exp(0.03 * rng.normal(size=(count, SIZE.size)))


BATCH = 20
PARITY = [forms.power_law_offset, forms.shifted_power_law, forms.mmf, forms.broken_power_law]


def worse_than_scipy(form, count):
    error = random_curves(form, count)
    fit = fit_curve(LearningCurve(jnp.asarray(SIZE), jnp.asarray(error)), form)
    expected = np.array([scipy_best(form, LearningCurve(SIZE, row)) for row in error])
    return np.asarray(fit.residual_sum) / expected - 1


@DOUBLE
@pytest.mark.parametrize("form", PARITY, ids=lambda f: f.__name__)
def test_sum_of_squares_matches_scipy(form, x64):
    """A thousand curves of each are in `benchmarks.parity`."""
    assert worse_than_scipy(form, BATCH if form is forms.power_law_offset else 6).max() < 1e-8


@DOUBLE
def test_ragged_batch_is_its_curves(x64):
    error = random_curves(forms.power_law_offset, BATCH)
    error[1, ::3] = np.nan
    error[2, :10] = np.nan
    together = fit_curve(LearningCurve(jnp.asarray(SIZE), jnp.asarray(error)))
    for i in range(3):
        present = ~np.isnan(error[i])
        alone = fit_curve(LearningCurve(jnp.asarray(SIZE[present]), jnp.asarray(error[i][present])))
        np.testing.assert_allclose(together.residual_sum[i], alone.residual_sum, rtol=1e-9)
        ahead = jnp.asarray([5e4])
        np.testing.assert_allclose(together.predict(ahead)[i], alone.predict(ahead), rtol=1e-6)


def test_order_of_sizes_does_not_matter(x64):
    curve = noisy()
    order = np.random.default_rng(1).permutation(SIZE.size)
    shuffled = LearningCurve(curve.size[order], curve.error[order])
    a, b = fit_curve(curve), fit_curve(shuffled)
    np.testing.assert_allclose(a.coordinates, b.coordinates, rtol=1e-6 if x64 else 2e-2, atol=1e-6 if x64 else 1e-2)
    assert jax.tree.all(jax.tree.map(lambda x, y: bool(x == y), a.flags, b.flags))


@DOUBLE
def test_vmap_is_the_batch(x64):
    error = jnp.asarray(random_curves(forms.power_law_offset, 3))

    def ahead(e):
        return fit_curve(LearningCurve(jnp.asarray(SIZE), e), forms.power_law).predict(jnp.asarray([1e5]))

    np.testing.assert_allclose(jax.vmap(ahead)(error), ahead(error), rtol=1e-6)


@given(scale=st.floats(1e-3, 1e3), unit=st.floats(0.1, 1e4))
def test_units_do_not_matter(scale, unit, x64):
    curve = noisy(noise=0.02)
    fit = fit_curve(curve)
    other = fit_curve(LearningCurve(unit * curve.size, scale * curve.error))
    rtol = 1e-6 if x64 else 2e-2
    np.testing.assert_allclose(other.parameters["exponent"], fit.parameters["exponent"], rtol=rtol)
    np.testing.assert_allclose(other.parameters["offset"], scale * fit.parameters["offset"], rtol=rtol)


@DOUBLE
@pytest.mark.parametrize(
    "form", [forms.power_law, pytest.param(forms.power_law_offset, marks=pytest.mark.slow)], ids=lambda f: f.__name__
)
def test_gradient_of_a_prediction(form, x64):
    curve = noisy()
    direction = np.random.default_rng(0).normal(size=SIZE.size) * np.asarray(curve.error)

    def ahead(error):
        return fit_curve(LearningCurve(curve.size, error), form).predict(jnp.asarray([1e5]))[0]

    value, slope = jax.value_and_grad(ahead)(curve.error)
    # A minimum is found to 1e-9, which differences divide by their step.
    h = 1e-3
    wide, narrow = (
        (ahead(curve.error + s * direction) - ahead(curve.error - s * direction)) / (2 * s) for s in (2 * h, h)
    )
    np.testing.assert_allclose(value, ahead(curve.error), rtol=1e-9)
    np.testing.assert_allclose(slope @ direction, (4 * narrow - wide) / 3, rtol=1e-5)


@DOUBLE
def test_interval_covers_the_truth(x64):
    size = jnp.asarray(np.geomspace(100, 3200, 6))
    truth = 1.5 * size**-0.4
    rng = np.random.default_rng(0)
    error = truth * np.exp(0.03 * rng.normal(size=(300, 6)))
    fit = fit_curve(LearningCurve(size, jnp.asarray(error)), forms.power_law, key=jax.random.key(0), draws=200)
    low, high = fit.interval(jnp.asarray([12800.0]), 0.9)
    inside = np.mean((low[:, 0] < 1.5 * 12800**-0.4) & (high[:, 0] > 1.5 * 12800**-0.4))
    assert 0.87 <= inside <= 0.97  # 0.9 within 4 binomial standard errors, and no more than the noise prior adds


@DOUBLE
@pytest.mark.parametrize(
    "form", [forms.power_law, pytest.param(forms.power_law_offset, marks=pytest.mark.slow)], ids=lambda f: f.__name__
)
def test_few_points(form, x64):
    counts = np.array([3, 4, 7])
    place = np.arange(7)
    size = jnp.asarray(100.0 * 2.0**place)
    wavy = 1.5 * size**-0.5 * (1 + 0.02 * (-1.0) ** place)
    error = jnp.where(place < counts[:, None], wavy, jnp.nan)
    fit = fit_curve(LearningCurve(size, error), form, key=jax.random.key(0), draws=100)
    ahead = 2 * size[counts - 1][:, None]
    low, high = fit.interval(ahead)
    assert np.all((low < fit.predict(ahead)) & (fit.predict(ahead) < high) & (high < 1))
    assert low.dtype == size.dtype
    np.testing.assert_array_equal(fit.flags.too_few_sizes, counts <= len(form.parameters))


@DOUBLE
def test_size_for_error_inverts_predict(x64):
    fit = fit_curve(noisy(), key=jax.random.key(0), draws=50)
    answer = fit.size_for_error(0.1, level=0.8)
    np.testing.assert_allclose(fit.predict(answer.value[None])[0], 0.1, rtol=1e-9)
    # An error that falls with size: the limits of the size are those of the curves that fall to it there.
    for limit, quantile, method in ((answer.low, 0.1, "lower"), (answer.high, 0.9, "higher")):
        at_limit = fit.predict_draws(limit[None])[:, 0]
        np.testing.assert_allclose(np.quantile(at_limit, quantile, method=method), 0.1, rtol=1e-9)
    beyond = fit.size_for_error(0.5 * fit.parameters["offset"])
    assert np.isinf(beyond.value)
    assert beyond.never > 0.5
    alone = fit_curve(noisy()).size_for_error(0.1)
    assert alone.value == answer.value
    assert np.isnan([alone.low, alone.high, alone.level, alone.never]).all()


@DOUBLE
def test_replicates_set_weights_and_draws(x64):
    rng = np.random.default_rng(0)
    exact = np.asarray(curve_of(forms.power_law).error)
    seeds = exact * np.exp(rng.normal(size=(6, SIZE.size)) * 0.3 / np.sqrt(SIZE / SIZE[0]))
    curve = curve_from_replicates(jnp.asarray(SIZE), jnp.asarray(seeds))
    weighted = fit_curve(curve, forms.power_law, key=jax.random.key(0), draws=300)
    plain = fit_curve(LearningCurve(curve.size, curve.error), forms.power_law)
    truth = TRUTH[forms.power_law][1]
    assert abs(weighted.parameters["exponent"] - truth) < abs(plain.parameters["exponent"] - truth)
    low, high = np.quantile(weighted.parameter_draws["exponent"], [0.005, 0.995])
    assert low < truth < high


@DOUBLE
def test_huber_counts_outliers_less(x64):
    curve = noisy(forms.power_law, (1.2, -0.3), 0.01)
    outlier = LearningCurve(curve.size, curve.error.at[15].multiply(3.0))
    plain, robust = fit_curve(outlier, forms.power_law), fit_curve(outlier, forms.power_law, loss=huber)
    assert abs(robust.parameters["scale"] - 1.2) < 0.3 * abs(plain.parameters["scale"] - 1.2)


@DOUBLE
def test_absolute_loss_matches_scipy(x64):
    curve = noisy(forms.power_law, (1.2, -0.3), 0.01)
    fit = fit_curve(curve, forms.power_law, loss=absolute)
    expected = scipy.optimize.curve_fit(lambda n, a, b: a * n**b, SIZE, np.asarray(curve.error), p0=(1, -0.3))[0]
    np.testing.assert_allclose(fit.parameters["exponent"], expected[1], rtol=1e-5)


@DOUBLE
def test_prior_holds_the_exponent_of_a_short_curve(x64):
    size = jnp.asarray([100.0, 200.0, 400.0])
    error = jnp.asarray([0.30, 0.21, 0.17])
    prior = ExponentPrior(-0.25, jnp.asarray([0.01, 1e4]))
    held, loose = fit_curve(LearningCurve(size, jnp.stack([error] * 2)), forms.power_law, prior=prior).parameters[
        "exponent"
    ]
    np.testing.assert_allclose(held, -0.25, rtol=0.05)
    np.testing.assert_allclose(loose, np.polyfit(np.log(size), np.log(error), 1)[0], rtol=1e-6)


@DOUBLE
def test_bad_input_is_flagged_not_hidden(x64):
    size = jnp.asarray([10.0, 20.0, 20.0, 40.0, 80.0])
    rows = {
        "zero": [0.3, 0.2, 0.21, 0.1, 0.0],
        "negative": [0.3, 0.2, 0.21, 0.1, -0.1],
        "absent": [0.3, 0.2, 0.21, 0.1, jnp.nan],
        "nothing": [jnp.nan] * 5,
        "rising": [0.1, 0.2, 0.3, 0.4, 0.5],
    }
    curves = LearningCurve(size, jnp.asarray(list(rows.values())), test_count=jnp.full(5, 1000))
    fits = fit_curve(curves, forms.power_law, key=jax.random.key(0), draws=3)
    zero, negative, absent, nothing, rising = (jax.tree.map(lambda a, i=i: a[i], fits) for i in range(5))
    assert bool(zero.flags.changed)
    half_an_error = np.polyfit(np.log(size), np.log([0.3, 0.2, 0.21, 0.1, 0.5 / 1000]), 1)
    np.testing.assert_allclose(zero.parameters["exponent"], half_an_error[0], rtol=1e-6)
    np.testing.assert_array_equal(negative.coordinates, absent.coordinates)
    assert bool(negative.flags.changed)
    assert not bool(absent.flags.changed)
    assert np.all(np.isnan(nothing.predict(size)))
    assert np.all(np.isnan(nothing.predict_draws(size)))
    assert not bool(nothing.converged)
    assert bool(rising.flags.at_bound)


@DOUBLE
def test_a_rising_curve_is_flagged(x64):
    size = jnp.asarray([10.0, 20.0, 20.0, 40.0, 80.0])
    rising = fit_curve(LearningCurve(size, jnp.asarray([0.1, 0.2, 0.3, 0.4, 0.5])), forms.power_law)
    assert bool(rising.flags.not_monotone)


def flags_of(form, *errors, size=SIZE):
    found = fit_curve(LearningCurve(jnp.asarray(size), jnp.asarray(np.stack(errors))), form).flags
    return [jax.tree.map(lambda a, i=i: bool(a[i]), found) for i in range(len(errors))]


def values(form, parameters=None):
    return np.asarray(curve_of(form, parameters).error)


@DOUBLE
def test_flags_of_single_curves(x64):
    """Each flag on a curve that deserves it, and none on one that does not."""
    straight, bent = values(forms.power_law), values(forms.broken_power_law)
    flat = 0.3 * np.exp(0.05 * np.random.default_rng(0).normal(size=SIZE.size))
    descent = values(forms.twice_broken_power_law)
    good, broken, level, double = flags_of(
        forms.power_law, straight * np.exp(0.02 * np.random.default_rng(1).normal(size=SIZE.size)), bent, flat, descent
    )
    assert not any(jax.tree.leaves(good))
    assert broken.break_suspected
    assert not broken.not_monotone
    assert not level.not_monotone
    assert not level.break_suspected
    assert double.not_monotone
    assert double.break_suspected


@DOUBLE
def test_flags_of_undetermined_parameters(x64):
    form = forms.shifted_power_law
    short = np.where(np.arange(SIZE.size) % 12 == 0, values(forms.power_law), np.nan)
    good, no_shift, no_offset, few = flags_of(
        form, values(form), values(forms.power_law_offset), values(form, (0.0, 2.0, -0.6, 70.0)), short
    )
    assert not any(jax.tree.leaves(good))
    assert no_shift.ill_conditioned
    assert no_offset.at_bound
    assert few.too_few_sizes
    assert few.starts_disagree


@DOUBLE
def test_repeated_sizes_count_as_often(x64):
    curve = noisy(forms.power_law, (1.2, -0.3))
    twice = LearningCurve(jnp.append(curve.size, curve.size[:5]), jnp.append(curve.error, curve.error[:5]))
    weight = jnp.where(jnp.arange(SIZE.size) < 5, 2.0, 1.0)
    repeated, weighted = fit_curve(twice, forms.power_law), fit_curve(curve, forms.power_law, weight=weight)
    for name in ("scale", "exponent"):
        np.testing.assert_allclose(repeated.parameters[name], weighted.parameters[name], rtol=1e-9)
    assert not bool(repeated.flags.too_few_sizes)


@DOUBLE
def test_errors_above_guessing_do_not_bend_the_curve(x64):
    size = jnp.asarray(np.geomspace(1, 10_000, 20))
    above = jnp.where(size < 14, 0.95, 2.0 * size**-0.3)
    fit = fit_curve(LearningCurve(size, above), forms.power_law, guess=0.9)
    assert float(fit.predict(size).max()) <= 0.9 * (1 + 1e-6)
    np.testing.assert_allclose(fit.parameters["exponent"], -0.3, rtol=1e-3)


@DOUBLE
def test_a_large_batch_is_its_curves(x64):
    """More curves than a block and than two parts, an odd number: nobody is lost, doubled or moved."""
    count = 4 * 1024 + 3
    error = 1.5 * SIZE[::3] ** -np.linspace(0.1, 1.0, count)[:, None]
    fit = fit_curve(LearningCurve(jnp.asarray(SIZE[::3]), jnp.asarray(error)), forms.power_law)
    np.testing.assert_allclose(fit.parameters["exponent"], -np.linspace(0.1, 1.0, count), rtol=1e-9)
    assert fit.flags.at_bound.shape == (count,)


@DOUBLE
def test_guess_is_an_upper_limit(x64):
    size = jnp.asarray(np.geomspace(1, 10_000, 20))
    capped = jnp.minimum(2.0 * size**-0.3, 0.9)
    fit = fit_curve(LearningCurve(size, capped), forms.power_law, guess=0.9)
    assert float(fit.predict(size).max()) <= 0.9 * (1 + 1e-6)
    np.testing.assert_allclose(fit.parameters["exponent"], -0.3, rtol=1e-3)


@DOUBLE
def test_wrong_arguments_raise(x64):
    with pytest.raises(ValueError, match=r"\(3,\)"):
        fit_curve(LearningCurve(jnp.ones(3), jnp.ones(4)))
    with pytest.raises(ValueError, match="draws=5"):
        fit_curve(noisy(), draws=5)
    with pytest.raises(ValueError, match="no bootstrap draws"):
        fit_curve(noisy()).interval(jnp.asarray([1e5]))
    with pytest.raises(ValueError, match="3 parameters"):
        forms.power_law_offset(jnp.ones(3), 0.1)


def test_fit_survives_json():
    fit = fit_curve(noisy())
    again = from_dict(CurveFit, json.loads(json.dumps(to_dict(fit))))
    assert again.form is forms.power_law_offset
    np.testing.assert_allclose(again.predict(SIZE), fit.predict(jnp.asarray(SIZE)), rtol=1e-6)
    assert dataclasses.fields(again.flags) == dataclasses.fields(fit.flags)
