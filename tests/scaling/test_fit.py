"""Fits of a scaling law: exact recovery, references, bootstrap, transformations, bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from lcjax.records import to_dict
from lcjax.scaling import laws
from lcjax.scaling.fit import ScalingFit, fit_scaling_law
from lcjax.scaling.law import Law, Parameter
from lcjax.scaling.residuals import Asymmetric, Gaussian, Huber, Student

N, D = (a.ravel() for a in np.meshgrid(10.0 ** np.arange(3, 7), 10.0 ** np.arange(3, 8)))
TRUTH = {"offset": 0.5, "model_scale": 20.0, "model_exponent": -0.4, "data_scale": 30.0, "data_exponent": -0.3}
EXACT = 0.5 + 20 * N**-0.4 + 30 * D**-0.3
KEY = 0


def runs(noise=0.0, seed=0):
    """Return the table with relative noise."""
    return {"params": N, "tokens": D, "loss": EXACT * np.exp(noise * np.random.default_rng(seed).normal(size=N.size))}


@functools.cache
def fit_with_draws(x64, noise):
    """Fit the law with 100 draws; losses have the current precision."""
    table = runs(noise)
    return fit_scaling_law(jax.random.key(KEY), {**table, "loss": jnp.asarray(table["loss"])}, draws=100)


def objective(values, table):
    """Sum Huber's losses of the log residuals, in NumPy."""
    e, a, alpha, b, beta = values
    residual = np.log(e + a * table["params"] ** alpha + b * table["tokens"] ** beta) - np.log(table["loss"])
    size = np.abs(residual)
    return np.sum(np.where(size <= 1e-3, residual**2 / 2, 1e-3 * (size - 0.5e-3)))


def test_an_exact_law_is_recovered(x64):
    exact = fit_with_draws(x64, 0)
    assert bool(exact.converged)
    assert exact.objective.dtype == (jnp.float64 if x64 else jnp.float32)
    for name, value in TRUTH.items():
        np.testing.assert_allclose(exact.parameters[name], value, rtol=1e-6 if x64 else 1e-4, err_msg=name)
    np.testing.assert_allclose(exact.predict(params=N, tokens=D), EXACT, rtol=1e-6)
    assert exact.objective < 1e-10
    assert exact.identifiability.determined


def test_the_objective_is_that_of_another_optimizer(x64):
    table = runs(0.02)
    fit = fit_scaling_law(jax.random.key(KEY), table)
    values = np.asarray(fit.values, float)
    np.testing.assert_allclose(fit.objective, objective(values, table), rtol=1e-9 if x64 else 1e-4)
    scale = np.array([1, 10, 0.1, 10, 0.1])
    polished = scipy.optimize.minimize(
        lambda u: objective(values + scale * u, table), np.zeros(5), method="Nelder-Mead", options={"maxfev": 4000}
    )
    assert objective(values, table) <= polished.fun * (1 + (1e-6 if x64 else 1e-3))


def test_draws_of_a_noisy_law_hold_the_truth(x64):
    noisy = fit_with_draws(x64, 0.02)
    assert 0.01 < noisy.noise < 0.03
    assert noisy.draws.shape == (100, 5)
    for name, (low, high) in noisy.interval(0.98).items():
        spread = high - low
        assert spread > 0
        assert low - spread < TRUTH[name] < high + spread
    drawn = noisy.predict_draws(params=np.array([1e7, 1e8]), tokens=1e8)
    assert drawn.shape == (100, 2)
    with pytest.raises(ValueError, match=r"got 1\.5"):
        noisy.interval(1.5)


@pytest.mark.slow
@pytest.mark.parametrize("resample", ["runs", "budget"])
def test_bootstraps_of_runs_and_of_groups_differ_in_width_only(x64, resample):
    table = runs(0.02)
    ours, other = (
        fit_scaling_law(jax.random.key(KEY), table, draws=200, resample=kind).interval()
        for kind in ("residuals", resample)
    )
    for name in TRUTH:
        ratio = np.diff(other[name]) / np.diff(ours[name])
        assert 0.4 < ratio < 6, name


def test_an_outlier_is_named_and_hardly_matters(x64):
    table = runs(0.005)
    spoilt = {**table, "loss": np.where(np.arange(N.size) == 7, 1.5 * table["loss"], table["loss"])}
    fit = fit_scaling_law(jax.random.key(KEY), spoilt)
    assert np.flatnonzero(fit.outliers).tolist() == [7]
    clean = fit_scaling_law(jax.random.key(KEY), table)
    np.testing.assert_allclose(fit.values, clean.values, rtol=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss", [Gaussian(), Huber(0.05), Student(0.02), Asymmetric(0.5)], ids=lambda loss: type(loss).__name__
)
def test_every_loss_has_the_derivatives_it_states(x64, loss):
    r = jnp.asarray([-0.2, -0.03, -2e-4, 1e-4, 0.02, 0.3])
    values = loss(r)
    slope = jax.vmap(jax.grad(lambda x: loss(x).value))(r)
    np.testing.assert_allclose(values.slope, slope, rtol=1e-5)
    curvature = jax.vmap(jax.grad(lambda x: loss(x).slope))(r)
    np.testing.assert_allclose(values.curvature, curvature, atol=1e-6)
    for shift in (-0.05, 0.01):  # the parabola of the majorant lies above the loss
        bound = values.value + values.slope * shift + values.majorant * shift**2 / 2
        if not isinstance(loss, Asymmetric):
            assert np.all(loss(r + shift).value <= bound + 1e-7)


@pytest.mark.slow
def test_runs_that_are_trained_badly_pull_an_asymmetric_fit_less(x64):
    rng = np.random.default_rng(3)
    table = runs(0.002)
    badly = {**table, "loss": table["loss"] * (1 + 0.1 * (rng.random(N.size) < 0.4) * rng.random(N.size))}
    plain, ours = (fit_scaling_law(jax.random.key(KEY), badly, loss=loss) for loss in (Gaussian(), Asymmetric(0.1)))
    errors = [np.abs(np.log(fit.predict(params=N, tokens=D) / EXACT)).mean() for fit in (plain, ours)]
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.slow
def test_a_law_of_ones_own_is_fitted(x64):
    def function(p, x):
        return p["floor"] + p["scale"] * (x["tokens"] + p["shift"]) ** p["power"]

    own = Law(
        "own",
        function,
        (
            Parameter("floor", linear=True),
            Parameter("scale", linear=True),
            Parameter("shift", 1.0, 1e9, start=(10.0, 1e6)),
            Parameter("power", -2.0, -0.01),
        ),
        ("tokens",),
    )
    tokens = np.geomspace(1e2, 1e7, 24)
    truth = {"floor": 0.2, "scale": 5.0, "shift": 3000.0, "power": -0.35}
    fit = fit_scaling_law(
        jax.random.key(KEY), {"tokens": tokens, "loss": np.asarray(own(truth, tokens=tokens))}, law=own
    )
    for name, value in truth.items():
        np.testing.assert_allclose(fit.parameters[name], value, rtol=1e-3, err_msg=name)


def test_the_json_of_a_fit_names_its_parts(x64):
    entries = to_dict(fit_with_draws(x64, 0.02))
    assert entries["law"] == "chinchilla"
    assert entries["objective"]["name"] == "sum of Huber losses (corner 0.001) of log residuals"
    assert list(entries["parameters"]) == list(entries["interval"]) == list(TRUTH)
    assert (entries["outliers"], entries["refused"], entries["converged"]) == ([], [], True)


def test_wrong_arguments_raise():
    five = {name: jnp.ones(5) for name in ("params", "tokens", "loss")}
    key = jax.random.key(KEY)
    with pytest.raises(ValueError, match=r"needs the column tokens, the table has params, loss"):
        fit_scaling_law(key, {"params": jnp.ones(5), "loss": jnp.ones(5)})
    with pytest.raises(ValueError, match=r"have one length.*params \(4,\)"):
        fit_scaling_law(key, {**five, "params": jnp.ones(4)})
    with pytest.raises(ValueError, match="draws must be >= 0, got -1"):
        fit_scaling_law(key, five, draws=-1)
    with pytest.raises(ValueError, match=r'"runs", "budget" or a column, got \'seed\''):
        fit_scaling_law(key, five, draws=3, resample="seed")
    one = jnp.zeros(())
    with pytest.raises(ValueError, match="no bootstrap draws"):
        _ = ScalingFit(laws.chinchilla, Huber(), "log", five, jnp.zeros(5), one, one, one > 1).parameter_draws


@pytest.mark.slow
def test_a_fit_works_under_transformations(x64):
    table = {name: jnp.asarray(column) for name, column in runs(0.01).items()}
    key = jax.random.key(KEY)
    plain = fit_scaling_law(key, table)
    traced = jax.jit(fit_scaling_law)(key, table)
    np.testing.assert_allclose(traced.values, plain.values, rtol=1e-6 if x64 else 0.05)
    np.testing.assert_allclose(traced.objective, plain.objective, rtol=1e-6 if x64 else 0.01)  # float32 within 1 %
    assert traced.identifiability is None

    def exponent(losses):
        return fit_scaling_law(key, {**table, "loss": losses}, loss=Gaussian()).parameters["data_exponent"]

    both = jax.vmap(exponent)(jnp.stack([table["loss"], 2 * table["loss"]]))
    np.testing.assert_allclose(both[0], both[1], rtol=1e-6 if x64 else 1e-2)
    if x64:
        slope = jax.grad(exponent)(table["loss"])
        step = 1e-5 * np.eye(N.size)[3] * np.asarray(table["loss"])
        difference = exponent(table["loss"] + step) - exponent(table["loss"] - step)
        np.testing.assert_allclose(slope @ (2 * step), difference, rtol=1e-3)
