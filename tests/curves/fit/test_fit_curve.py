"""Fits of one form: exact recovery, SciPy's minima, few points, ragged batches, defective input.

The fits of one form share a compiled program: batches are padded to `ROWS` curves of 30 sizes.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

from lcjax.curves import forms
from lcjax.curves.fit import fit_curve as module
from lcjax.curves.fit.exponent_prior import ExponentPrior
from lcjax.curves.fit.fit_curve import fit_curve
from lcjax.curves.fit.residual_losses import absolute, huber, relative
from lcjax.curves.learning_curve import LearningCurve, curve_from_replicates
from lcjax.kernels.compilation import jit_by_size
from tests.problems import CURVE_SIZES as SIZE
from tests.problems import FORM_PARAMETERS as TRUTH
from tests.problems import predict, predict_draws

ROWS = 6
FAR = np.array([1e5])
DOUBLE = pytest.mark.parametrize("x64", [True], indirect=True, ids=["x64"])
"""For tests whose subject does not depend on the precision."""
QUICK = (forms.last_value, forms.power_law, forms.power_law_offset, forms.shifted_power_law, forms.mmf)


def exact(form, parameters=None, size=SIZE):
    return np.asarray(form(jnp.asarray(size), *(parameters or TRUTH[form])))


def noisy(form=forms.power_law_offset, parameters=(0.05, 1.3, -0.4), noise=0.03, seed=0):
    error = exact(form, parameters)
    return error * np.exp(noise * np.random.default_rng(seed).normal(size=error.shape))


def curve(error, size=SIZE):
    return LearningCurve(jnp.asarray(size), jnp.asarray(error))


def fit_rows(form, errors, size=SIZE, **options):
    """Fit at most `ROWS` curves of at most 30 sizes, padded so that all calls share a program; return NumPy arrays."""
    rows = np.full((ROWS, SIZE.size), np.nan)
    for i, error in enumerate(errors):
        rows[i, : len(error)] = error
    sizes = np.pad(size, (0, SIZE.size - len(size)), constant_values=np.nan)
    fit = fit_curve(curve(rows, sizes), form, **options)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[: len(errors)], fit)


def row(fits, i):
    return jax.tree.map(lambda leaf: leaf[i], fits)


def recovers(form, tolerance):
    fit = row(fit_rows(form, [exact(form)]), 0)
    assert bool(fit.converged)
    for name, value in zip(form.parameters, TRUTH[form], strict=True):
        np.testing.assert_allclose(fit.parameters[name], value, rtol=tolerance, err_msg=name)
    np.testing.assert_allclose(predict(fit, FAR), exact(form, size=FAR), rtol=tolerance)


@DOUBLE
@pytest.mark.parametrize(
    "form", [f if f in QUICK else pytest.param(f, marks=pytest.mark.slow) for f in TRUTH], ids=lambda f: f.__name__
)
def test_exact_curves_of_every_form_are_recovered(form, x64):
    recovers(form, 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("x64", [False], indirect=True, ids=["x32"])
@pytest.mark.parametrize("form", [forms.power_law_offset, forms.shifted_power_law, forms.mmf], ids=lambda f: f.__name__)
def test_exact_curves_are_recovered_in_single_precision(form, x64):
    recovers(form, 1e-3)


FLAT = [
    forms.power_law,
    forms.power_law_offset,
    *(pytest.param(f, marks=pytest.mark.slow) for f in (forms.m4, forms.mmf)),
]


@pytest.mark.parametrize("form", FLAT, ids=lambda f: f.__name__)
def test_a_flat_curve_determines_no_exponent(form, x64):
    """Also in single precision, where the curvature of its misfit is rounding."""
    flags = row(fit_rows(form, [np.full(SIZE.size, 0.3)]), 0).flags
    assert flags.ill_conditioned | flags.at_bound


def scipy_best(form, curve, starts=6):
    """Return SciPy's smallest sum of squares over random starts, in natural parameters within the same bounds."""
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
        fit = scipy.optimize.least_squares(residuals, start, bounds=(low, high), xtol=1e-15, ftol=1e-15, gtol=1e-15)
        best = min(best, 2 * fit.cost)
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
        exact.append(np.asarray(form(jnp.asarray(SIZE), *parameters)))
    return np.stack(exact) * np.exp(0.03 * rng.normal(size=(count, SIZE.size)))


@DOUBLE
@pytest.mark.parametrize(
    "form",
    [
        forms.power_law_offset,
        forms.shifted_power_law,
        forms.mmf,
        pytest.param(forms.broken_power_law, marks=pytest.mark.slow),
    ],
    ids=lambda f: f.__name__,
)
def test_sum_of_squares_matches_scipy(form, x64):
    """`benchmarks.parity` compares a thousand curves of each form."""
    error = random_curves(form, 3)
    expected = np.array([scipy_best(form, LearningCurve(SIZE, one)) for one in error])
    assert (np.asarray(fit_rows(form, error).residual_sum) / expected - 1).max() < 1e-8


@DOUBLE
def test_ragged_batch_is_its_curves(x64):
    error = random_curves(forms.power_law_offset, 3)
    error[1, ::3] = np.nan
    error[2, :10] = np.nan
    together = fit_rows(forms.power_law_offset, error)
    for i in range(3):
        present = ~np.isnan(error[i])
        alone = row(fit_rows(forms.power_law_offset, [error[i][present]], SIZE[present]), 0)
        np.testing.assert_allclose(together.residual_sum[i], alone.residual_sum, rtol=1e-9)
        np.testing.assert_allclose(predict(row(together, i), FAR), predict(alone, FAR), rtol=1e-6)


def test_order_of_sizes_does_not_matter(x64):
    error = noisy()
    order = np.random.default_rng(1).permutation(SIZE.size)
    form = forms.power_law_offset
    a, b = fit_rows(form, [error]), fit_rows(form, [error[order]], SIZE[order])
    np.testing.assert_allclose(a.coordinates, b.coordinates, rtol=1e-6 if x64 else 2e-2, atol=1e-6 if x64 else 1e-2)
    assert jax.tree.all(jax.tree.map(lambda x, y: bool(x == y), a.flags, b.flags))


@pytest.mark.slow
@DOUBLE
def test_vmap_is_the_batch(x64):
    error = random_curves(forms.power_law_offset, ROWS)

    def ahead(e):
        return fit_curve(curve(e), forms.power_law).predict(FAR)

    np.testing.assert_allclose(
        jax.vmap(ahead)(jnp.asarray(error)), predict(fit_rows(forms.power_law, error), FAR), rtol=1e-6
    )


@given(scale=st.floats(1e-3, 1e3), unit=st.floats(0.1, 1e4))
def test_units_do_not_matter(scale, unit, x64):
    error = noisy(noise=0.02)
    form = forms.power_law_offset
    fit, other = fit_rows(form, [error]), fit_rows(form, [scale * error], unit * SIZE)
    rtol = 1e-6 if x64 else 2e-2
    np.testing.assert_allclose(other.parameters["exponent"], fit.parameters["exponent"], rtol=rtol)
    np.testing.assert_allclose(other.parameters["offset"], scale * fit.parameters["offset"], rtol=rtol)


@DOUBLE
@pytest.mark.parametrize(
    "form", [forms.power_law, pytest.param(forms.power_law_offset, marks=pytest.mark.slow)], ids=lambda f: f.__name__
)
def test_gradient_of_a_prediction(form, x64):
    error = noisy()
    direction = np.random.default_rng(0).normal(size=SIZE.size) * error

    def ahead(error):
        return fit_curve(curve(error), form).predict(FAR)[0]

    value, slope = jit_by_size()(jax.value_and_grad(ahead))(jnp.asarray(error))
    # A minimum is accurate to 1e-9, which differences divide by their step.
    h = 1e-3
    steps = h * np.array([0, -2, 2, -1, 1])
    at, *sides = np.asarray(predict(fit_rows(form, error + steps[:, None] * direction), FAR))[:, 0]
    wide, narrow = (sides[1] - sides[0]) / (4 * h), (sides[3] - sides[2]) / (2 * h)
    np.testing.assert_allclose(value, at, rtol=1e-9)
    np.testing.assert_allclose(slope @ direction, (4 * narrow - wide) / 3, rtol=1e-5)


SHORT = 100.0 * 2.0 ** np.arange(6)
REPEATED = np.array([10.0, 20.0, 20.0, 40.0, 80.0, np.nan])
DEFECTIVE = {
    "zero": [0.3, 0.2, 0.21, 0.1, 0.0, 0.3],
    "negative": [0.3, 0.2, 0.21, 0.1, -0.1, 0.3],
    "absent": [0.3, 0.2, 0.21, 0.1, np.nan, 0.3],
    "nothing": [np.nan] * 6,
    "rising": [0.1, 0.2, 0.3, 0.4, 0.5, 0.3],
}
WAVY = 1.5 * SHORT**-0.5 * (1 + 0.02 * (-1.0) ** np.arange(6))
COUNTS = np.array([3, 4, 6])
FEW, BAD, SEEDS = slice(300, 303), slice(303, 308), slice(308, 310)


@pytest.fixture(scope="module")
def bootstrapped():
    """Bootstrap fits of a power law in one batch, and their predictions and intervals at twice the largest size.

    These are 300 noisy curves, three of 3, 4 and 6 points, the defective ones, and a curve with and without its seeds.
    """
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        many = 1.5 * SHORT**-0.4 * np.exp(0.03 * rng.normal(size=(300, 6)))
        few = np.where(np.arange(6) < COUNTS[:, None], WAVY, np.nan)
        seeds = 1.5 * SHORT**-0.4 * np.exp(rng.normal(size=(6, 6)) * 0.3 / np.sqrt(SHORT / SHORT[0]))
        size = np.concatenate([np.tile(SHORT, (303, 1)), np.tile(REPEATED, (5, 1)), np.tile(SHORT, (2, 1))])
        error = np.concatenate([many, few, list(DEFECTIVE.values()), [seeds.mean(0)] * 2])
        replicates = np.full((310, 6, 6), np.nan)
        replicates[308] = seeds
        curves = LearningCurve(
            *map(jnp.asarray, (size, error)), None, jnp.asarray(replicates), None, jnp.full(310, 1000)
        )
        fits = fit_curve(curves, forms.power_law, key=jax.random.key(0), draws=200)
        ahead = np.full((310, 1), 2 * SHORT[-1])
        ahead[FEW, 0] = 2 * SHORT[COUNTS - 1]
        limits = np.quantile(predict_draws(fits, ahead)[..., 0], [0.05, 0.95], axis=1)
        return jax.tree.map(np.asarray, fits), np.asarray(predict(fits, ahead))[:, 0], limits


@DOUBLE
def test_interval_covers_the_truth(bootstrapped, x64):
    _, _, (low, high) = bootstrapped
    truth = 1.5 * (2 * SHORT[-1]) ** -0.4
    inside = np.mean((low[:300] < truth) & (high[:300] > truth))
    assert 0.87 <= inside <= 0.97  # 0.9 within 4 binomial standard errors, and no more than the noise prior adds


@DOUBLE
def test_noise_is_that_of_the_curves(bootstrapped, x64):
    # Each estimate has 4 degrees of freedom and an observation of the prior's noise, which is the truth.
    np.testing.assert_allclose(np.mean(bootstrapped[0].noise[:300] ** 2) ** 0.5, 0.03, rtol=0.05)


@DOUBLE
def test_few_points(bootstrapped, x64):
    fits, prediction, (low, high) = bootstrapped
    assert np.all((low < prediction) & (prediction < high) & (high < 1), where=np.arange(310) // 3 == 100)
    assert fits.draws.dtype == np.float64
    assert not np.any(fits.flags.too_few_sizes[FEW])


@DOUBLE
def test_defective_input_is_flagged(bootstrapped, x64):
    fits, prediction, limits = bootstrapped
    zero, negative, absent, nothing, rising = (row(fits, i) for i in range(310)[BAD])
    assert zero.flags.changed
    half_an_error = np.polyfit(np.log(REPEATED[:5]), np.log([0.3, 0.2, 0.21, 0.1, 0.5 / 1000]), 1)
    np.testing.assert_allclose(zero.parameters["exponent"], half_an_error[0], rtol=1e-6)
    np.testing.assert_array_equal(negative.coordinates, absent.coordinates)
    assert negative.flags.changed
    assert not absent.flags.changed
    assert np.isnan(prediction[BAD]).tolist() == np.isnan(limits[0][BAD]).tolist() == [False, False, False, True, False]
    assert not nothing.converged
    assert absent.converged
    assert rising.flags.at_bound
    assert rising.flags.not_monotone


@DOUBLE
def test_replicates_set_weights_and_draws(bootstrapped, x64):
    weighted, plain = (row(bootstrapped[0], i) for i in range(310)[SEEDS])
    assert abs(weighted.parameters["exponent"] + 0.4) < abs(plain.parameters["exponent"] + 0.4)
    low, high = np.quantile(weighted.parameter_draws["exponent"], [0.005, 0.995])
    assert low < -0.4 < high
    assert weighted.noise != plain.noise


@DOUBLE
def test_zeros_of_all_repeats_count_the_same_in_the_fit_and_its_draws(x64):
    """Top-5 errors of the digits over three seeds: at 384 examples no seed errs, at 1,198 one of them once."""
    size = jnp.array([10.0, 19.0, 39.0, 77.0, 154.0, 307.0, 614.0, 1198.0])
    mistakes = jnp.array([[41.0, 27, 9, 2, 1, 0, 1, 1], [35, 26, 15, 1, 2, 0, 0, 0], [31, 18, 3, 3, 6, 0, 2, 0]])
    curve = dataclasses.replace(curve_from_replicates(size, mistakes / 359), test_count=jnp.asarray(359))
    fit = fit_curve(curve, forms.power_law, key=jax.random.key(0), draws=200)
    low, high = np.quantile(fit.parameter_draws["exponent"], [0.05, 0.95])
    assert low < fit.parameters["exponent"] < high
    assert low > -1.5
    assert fit.flags.changed


@DOUBLE
def test_zeros_without_a_test_count_are_half_the_smallest_error(x64):
    error = np.where(np.arange(30) == 29, 0.0, exact(forms.power_law))
    raised = np.where(np.arange(30) == 29, 0.5 * error[28], error)
    zero, half, one_zero = fit_rows(
        forms.power_law, [error, raised, np.where(np.arange(30) == 0, 0, error)]
    ).coordinates
    np.testing.assert_array_equal(zero, half)
    assert np.all(np.isfinite(one_zero))


@pytest.mark.slow
@DOUBLE
def test_huber_reduces_the_influence_of_outliers(x64):
    outlier = noisy(forms.power_law, (1.2, -0.3), 0.01)
    outlier[15] *= 3
    plain, robust = (row(fit_rows(forms.power_law, [outlier], loss=loss), 0) for loss in (relative, huber))
    assert abs(robust.parameters["scale"] - 1.2) < 0.3 * abs(plain.parameters["scale"] - 1.2)


@DOUBLE
def test_absolute_loss_matches_scipy(x64):
    error = noisy(forms.power_law, (1.2, -0.3), 0.01)
    fit = row(fit_rows(forms.power_law, [error], loss=absolute), 0)
    expected = scipy.optimize.curve_fit(lambda n, a, b: a * n**b, SIZE, error, p0=(1, -0.3))[0]
    np.testing.assert_allclose(fit.parameters["exponent"], expected[1], rtol=1e-5)


def flags_of(form, *errors):
    flags = fit_rows(form, errors).flags
    return [jax.tree.map(lambda a, i=i: bool(a[i]), flags) for i in range(len(errors))]


@DOUBLE
def test_flags_of_single_curves(x64):
    """Each flag is set on a curve with its defect, and on no other curve."""
    straight, bent = exact(forms.power_law), exact(forms.broken_power_law)
    flat = 0.3 * np.exp(0.05 * np.random.default_rng(0).normal(size=SIZE.size))
    descent = exact(forms.twice_broken_power_law)
    good, broken, level, double, two = flags_of(
        forms.power_law,
        straight * np.exp(0.02 * np.random.default_rng(1).normal(size=SIZE.size)),
        bent,
        flat,
        descent,
        straight[:2],
    )
    assert not any(jax.tree.leaves(good))
    assert broken.break_suspected
    assert not broken.not_monotone
    assert not level.not_monotone
    assert not level.break_suspected
    assert double.not_monotone
    assert double.break_suspected
    assert two.too_few_sizes


@DOUBLE
def test_flags_of_undetermined_parameters(x64):
    form = forms.shifted_power_law
    short = np.where(np.arange(SIZE.size) % 12 == 0, exact(forms.power_law), np.nan)
    good, no_shift, no_offset, few = flags_of(
        form, exact(form), exact(forms.power_law_offset), exact(form, (0.0, 2.0, -0.6, 70.0)), short
    )
    assert not any(jax.tree.leaves(good))
    assert no_shift.ill_conditioned
    assert no_offset.at_bound
    assert few.too_few_sizes
    assert few.starts_disagree


@DOUBLE
def test_last_value_is_the_error_at_the_largest_size(x64):
    error = noisy()
    fit = row(fit_rows(forms.last_value, [error[::-1]], SIZE[::-1]), 0)
    np.testing.assert_allclose(fit.parameters["level"], error[-1], rtol=1e-9)


THREE, THREE_ERRORS = np.array([100.0, 200.0, 400.0]), np.array([0.30, 0.21, 0.17])


@pytest.fixture(scope="module")
def with_options():
    """Fits of a power law with weights, an error of guessing and a prior, each neutral for the other curves.

    Two curves have a plateau of guessing, two have three points and a strong or a weak prior, one is weighted.
    """
    with jax.enable_x64(True):
        wide = np.geomspace(1, 10_000, 30)
        size, error = np.full((2, 5, 30), np.nan)
        size[:2], size[2:4, :3], size[4, :25] = wide, THREE, SIZE[:25]
        error[0], error[1] = np.minimum(2.0 * wide**-0.3, 0.9), np.where(wide < 14, 0.95, 2.0 * wide**-0.3)
        error[2:4, :3], error[4, :25] = THREE_ERRORS, noisy(forms.power_law, (1.2, -0.3))[:25]
        weight = np.ones((5, 30))
        weight[4, :5] = 2
        fit = fit_curve(
            LearningCurve(jnp.asarray(size), jnp.asarray(error)),
            forms.power_law,
            weight=jnp.asarray(weight),
            guess=jnp.asarray([0.9, 0.9, 1e3, 1e3, 1e3]),
            prior=ExponentPrior(-0.25, jnp.asarray([1e4, 1e4, 0.01, 1e4, 1e6])),
        )
        return jax.tree.map(np.asarray, fit), predict(fit, wide)


@DOUBLE
def test_prior_determines_the_exponent_of_a_short_curve(with_options, x64):
    strong, weak = with_options[0].parameters["exponent"][2:4]
    np.testing.assert_allclose(strong, -0.25, rtol=0.05)
    np.testing.assert_allclose(weak, np.polyfit(np.log(THREE), np.log(THREE_ERRORS), 1)[0], rtol=1e-6)


@DOUBLE
def test_guess_is_an_upper_limit(with_options, x64):
    """Errors at or above it do not bend the curve."""
    fit, prediction = with_options
    assert float(prediction[:2].max()) <= 0.9 * (1 + 1e-6)
    np.testing.assert_allclose(fit.parameters["exponent"][:2], -0.3, rtol=1e-3)


@DOUBLE
def test_a_repeated_size_counts_twice(with_options, x64):
    error = noisy(forms.power_law, (1.2, -0.3))[:25]
    twice = row(fit_rows(forms.power_law, [np.append(error, error[:5])], np.append(SIZE[:25], SIZE[:5])), 0)
    for name in ("scale", "exponent"):
        np.testing.assert_allclose(twice.parameters[name], with_options[0].parameters[name][4], rtol=1e-9)
    assert not twice.flags.too_few_sizes


@pytest.mark.slow
@DOUBLE
def test_a_large_batch_is_its_curves(x64):
    """With an odd number of curves, more than one block and two parts, none is lost, duplicated or moved."""
    count = 4 * 1024 + 3
    error = 1.5 * SIZE[::3] ** -np.linspace(0.1, 1.0, count)[:, None]
    fit = fit_curve(LearningCurve(jnp.asarray(SIZE[::3]), jnp.asarray(error)), forms.power_law)
    np.testing.assert_allclose(fit.parameters["exponent"], -np.linspace(0.1, 1.0, count), rtol=1e-9)
    assert fit.flags.at_bound.shape == (count,)


@DOUBLE
def test_parts_of_a_batch_run_under_the_callers_settings(x64, monkeypatch):
    """Threads that fit the parts inherit the default device and precision; the parts are concatenated in order."""
    monkeypatch.setattr(module, "_PART", 3)
    monkeypatch.setattr(module, "cores", lambda: 2)
    devices = []

    def loss(log_prediction, log_error):
        devices.append(jax.config.jax_default_device)
        return relative(log_prediction, log_error)

    level = np.linspace(0.1, 0.7, 7)
    with jax.default_device(jax.devices()[0]):
        fit = fit_curve(curve(np.repeat(level[:, None], 30, 1)), forms.last_value, loss=loss)
    np.testing.assert_allclose(fit.parameters["level"], level, rtol=1e-9)
    assert fit.coordinates.dtype == jnp.float64
    assert devices
    assert set(devices) == {jax.devices()[0]}


@pytest.mark.parametrize("own_sizes", [False, True])
def test_parts_of_a_problem_have_their_own_rows(own_sizes):
    def batch(*shape):
        return jnp.arange(4.0 * np.prod(shape, dtype=int)).reshape(4, *shape)

    size = batch(3) if own_sizes else jnp.arange(3.0)
    curves = LearningCurve(size, batch(3), None, batch(2, 3), None, batch())
    problem = module._Problem(
        curves, jax.random.split(jax.random.key(0), 4), size, jnp.asarray(0.9), ExponentPrior(batch(), 0.3)
    )
    part = module._take_rows(problem, slice(1, 3), 2)
    np.testing.assert_array_equal(part.curve.error, batch(3)[1:3])
    np.testing.assert_array_equal(part.curve.replicates, batch(2, 3)[1:3])
    np.testing.assert_array_equal(part.curve.test_count, batch()[1:3])
    np.testing.assert_array_equal(part.prior.exponent, batch()[1:3])
    assert (part.guess, part.prior.log_standard_deviation, part.keys.shape) == (0.9, 0.3, (2,))
    for sizes in (part.curve.size, part.weight):
        np.testing.assert_array_equal(sizes, size[1:3] if own_sizes else size)


def test_wrong_arguments_raise():
    with pytest.raises(ValueError, match=r"\(3,\)"):
        fit_curve(LearningCurve(jnp.ones(3), jnp.ones(4)))
    with pytest.raises(ValueError, match="draws=5"):
        fit_curve(LearningCurve(jnp.ones(3), jnp.ones(3)), draws=5)
    with pytest.raises(ValueError, match="draws=-1"):
        fit_curve(LearningCurve(jnp.ones(3), jnp.ones(3)), draws=-1, key=jax.random.key(0))
