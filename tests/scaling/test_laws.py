"""Scaling laws: values by hand, recovery by a fit, and coordinates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.scaling import laws
from lcjax.scaling.fit import fit_scaling_law
from lcjax.scaling.law import Law, Parameter, bounds, evaluate, natural_values

N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e9, 1e12, 6)))
SUM = {"offset": 1.7, "model_scale": 400.0, "model_exponent": -0.34, "data_scale": 410.0, "data_exponent": -0.28}


def by_hand(law, x):
    """Return values of the parameters and the law in NumPy, written out."""
    n, d = x["params"], x["tokens"]
    plain = 1.7 + 400 * n**-0.34 + 410 * d**-0.28
    if law is laws.chinchilla:
        return SUM, plain
    if law is laws.kaplan:
        values = {
            "critical_params": 8.8e13,
            "model_exponent": -0.076,
            "critical_tokens": 5.4e13,
            "data_exponent": -0.095,
        }
        return values, ((8.8e13 / n) ** (0.076 / 0.095) + 5.4e13 / d) ** 0.095
    if law is laws.precision:
        effective = n * (1 - np.exp(-x["bits"] / 2.5))
        return {**SUM, "bits_scale": 2.5}, 1.7 + 400 * effective**-0.34 + 410 * d**-0.28
    if law is laws.sparsity:
        own = {**SUM, "density_scale": 100.0, "density_exponent": 0.8}
        return own, 1.7 + (100 * x["density"] ** 0.8 + 400) * n**-0.34 + 410 * d**-0.28
    if law is laws.data_constrained:
        unique = np.minimum(x["unique_tokens"], d)
        # Surplus of parameters over those that the unique tokens would use without repetition (their Appendix A).
        best = (400 * 0.34 / (410 * 0.28)) ** (1 / 0.34) * unique ** (0.28 / 0.34)
        base = np.minimum(best, n)
        model = base + base * 5.3 * (1 - np.exp(-(n / base - 1) / 5.3))
        data = unique + unique * 15.4 * (1 - np.exp(-(d / unique - 1) / 15.4))
        return {**SUM, "repeats_decay": 15.4, "params_decay": 5.3}, 1.7 + 400 * model**-0.34 + 410 * data**-0.28
    own = {**SUM, "offset": -5.0, "vocabulary_scale": 20.0, "vocabulary_exponent": -0.3}
    return own, plain - 6.7 + 20 * x["vocabulary_params"] ** -0.3


CHECKED = ("chinchilla", "kaplan", "precision", "sparsity", "data_constrained", "vocabulary")


@pytest.fixture
def variables():
    rng = np.random.default_rng(0)
    return {
        "params": N,
        "tokens": D,
        "bits": rng.choice([2.0, 4.0, 8.0], N.size),
        "density": rng.choice([0.1, 0.5, 1.0], N.size),
        "unique_tokens": D / rng.choice([1.0, 4.0, 50.0], N.size),
        "vocabulary_params": N * rng.uniform(0.01, 0.3, N.size),
    }


@pytest.mark.parametrize("name", CHECKED)
def test_a_law_is_the_published_formula(name, variables, x64):
    law = laws.LAWS[name]
    values, expected = by_hand(law, variables)
    found = law(values, **{one: variables[one] for one in law.variables})
    np.testing.assert_allclose(found, expected, rtol=1e-10 if x64 else 3e-5)
    assert law.names == tuple(values) or set(law.names) == set(values)


@pytest.mark.parametrize("name", CHECKED)
def test_coordinates_and_parameters_tell_the_same_law(name, variables, x64):
    law = laws.LAWS[name]
    own = {one: jnp.asarray(variables[one])[:, None] for one in law.variables}
    low, high = bounds(law)
    rng = np.random.default_rng(1)
    start = [
        rng.uniform(*sorted(p.coordinate(v) for v in p.start)) if p.start else rng.uniform(-1, 0)
        for p in law.parameters
    ]
    u = jnp.asarray(np.clip(start, low, high))[:, None]
    direct = evaluate(law, tuple(u), own, 2.0)
    values = dict(zip(law.names, natural_values(law, u, own, 2.0), strict=True))
    np.testing.assert_allclose(direct, law.function(values, own), rtol=1e-9 if x64 else 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kaplan", "precision", "sparsity", "data_constrained", "vocabulary"])
def test_an_exact_table_gives_the_law_back(name, variables, x64):
    if not x64:
        pytest.skip("the fit is in float64 in both")
    law = laws.LAWS[name]
    _, loss = by_hand(law, variables)
    fit = fit_scaling_law(jax.random.key(0), {**variables, "loss": loss}, law=law)
    np.testing.assert_allclose(fit.predict(**{one: variables[one] for one in law.variables}), loss, rtol=2e-3)


def test_wrong_laws_raise():
    with pytest.raises(ValueError, match=r"bounds 1\.0 and 0\.0 are not in order"):
        Parameter("a", 1.0, 0.0)
    with pytest.raises(ValueError, match="give start="):
        Parameter("a", 0.0)
    with pytest.raises(ValueError, match="is linear: its bounds are"):
        Parameter("a", 1.0, 2.0, linear=True)
    with pytest.raises(ValueError, match="different names, got a, a"):
        Law("l", lambda p, x: p["a"], (Parameter("a", linear=True), Parameter("a", linear=True)), ("n",))
    with pytest.raises(ValueError, match="needs params and tokens, got params"):
        laws.chinchilla(SUM, params=1e6)
