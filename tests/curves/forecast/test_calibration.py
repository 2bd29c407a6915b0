"""Simulation-based calibration: ranks of the truth among posterior draws of simulated curves are uniform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from lcjax.curves.forecast import noise
from lcjax.curves.forecast import posterior as posteriors
from lcjax.curves.forecast.condensed import condense
from lcjax.curves.forecast.families import FAMILIES
from lcjax.curves.forecast.noise import NoiseModels
from lcjax.curves.forecast.posterior import condition, evaluate_curves

SIZE = np.geomspace(100, 1e4, 12)
TIME = np.log(SIZE / SIZE[-1])
SPAN = -TIME[0]
DRAWS, BINS = 256, 8
# Noise that does not depend on the measured errors themselves, so that it can be simulated forwards.
NOISE = NoiseModels(
    *np.array([[0.0, 0.0, 5.0], [1.0, 1.0, 1.0], [0, 0, 0], [0.0, 1.0, 0.0], [0, 0, 0]], np.float32),
    np.array([0.005, 0.02], np.float32),
)


@pytest.fixture(autouse=True)
def x64():
    """Run once, in float64; the fixture of the folder would add a slow run in float32."""
    with jax.enable_x64(True):
        yield True


def simulate(rng, families, prior):
    """Draw a family, parameters that pass the prior of the end of the curve, noise, and the data."""
    while True:
        family = families[rng.choice(len(families), p=prior)]
        u = np.asarray(family.location) + np.asarray(family.scale) * rng.normal(size=family.dimension)
        at = jnp.asarray(np.concatenate([TIME, [-0.1, 0.7, 0.0, -30.0]]))
        curve = np.asarray(family.curve(jnp.asarray(u), at, jnp.asarray(SPAN)).log_error(at), float)
        if np.log(rng.uniform()) < float(
            posteriors._log_prior_of_end(jnp.asarray(curve[None, 12:]), posteriors.SLOPES)[0]
        ):
            break
    j, q = rng.integers(3), rng.integers(2)
    s2 = NOISE.scale[q] ** 2 / rng.gamma(1.0)
    white = np.exp(NOISE.discount[j] * abs(TIME))
    covariance = np.diag(white) + NOISE.ratio[j] * np.exp(-abs(TIME[:, None] - TIME) / NOISE.length[j])
    noise = np.linalg.cholesky(s2 * covariance) @ rng.normal(size=12)
    return curve[:12] + noise, curve[13]


def ranks(families, count, *, seed, chains, moves):
    rng = np.random.default_rng(seed)
    prior = np.exp([float(family.log_weight) for family in families])
    prior /= prior.sum()
    curves = tuple(family.curve for family in families)
    points = jnp.asarray(np.array([0.7]))

    @jax.jit
    def rank(key, log_error, truth):
        curve = condense(jnp.asarray(SIZE), jnp.exp(log_error), points=12)
        found = condition(key, curve, families, NOISE, jnp.array(jnp.nan), draws=DRAWS, chains=chains, moves=moves)
        values = evaluate_curves(curves, found.family, found.parameters, points, curve.span)[:, 0]
        return jnp.mean(values < truth)

    found = []
    for i in range(count):
        data, truth = simulate(rng, families, prior)
        found.append(float(rank(jax.random.key(seed * 10_000 + i), jnp.asarray(data), jnp.asarray(truth))))
    return np.array(found)


def check_uniform(share):
    counts = np.bincount(np.minimum((share * BINS).astype(int), BINS - 1), minlength=BINS)
    assert scipy.stats.chisquare(counts).pvalue > 1e-3, counts


@pytest.mark.acceptance
@pytest.mark.parametrize("index", range(len(FAMILIES) - 1), ids=[family.name for family in FAMILIES[:-1]])
def test_ranks_of_every_family_are_uniform(index):
    share = ranks(FAMILIES[index : index + 1], 200, seed=index, chains=32, moves=24)
    print(FAMILIES[index].name, "ranks in eighths", np.histogram(share, BINS, (0, 1))[0])
    check_uniform(share)


@pytest.mark.acceptance
def test_ranks_of_the_mixture_are_uniform(monkeypatch):
    """With the full power of the evidence; the forecast takes its root, which is wider."""
    monkeypatch.setattr(posteriors, "_EVIDENCE_POWER", 1.0)
    share = ranks(FAMILIES[:-1], 300, seed=9, chains=32, moves=24)
    print("mixture", "ranks in eighths", np.histogram(share, BINS, (0, 1))[0])
    check_uniform(share)


@pytest.mark.acceptance
def test_evidence_hardly_depends_on_the_key():
    """The spread between keys, root mean square over four curves and all families, is below 0.3."""
    rng = np.random.default_rng(4)
    size = jnp.asarray(np.geomspace(100, 1e4, 16))
    truth = [
        0.05 + 0.6 / (1 + (size / 800) ** 1.2),
        3 * size**-0.4,
        0.02 + 2 * size**-0.5 + 0.1 / (1 + (size / 3e3) ** 3),
    ]
    errors = [
        error * np.exp(0.02 * rng.normal(size=16)) for error in (*truth, truth[1] * (1 + np.exp(-((size / 900) ** 2))))
    ]

    @jax.jit
    def find_evidence(key, error):
        curve = condense(size, error)
        options = {"draws": DRAWS, "chains": 32, "moves": 24}
        return condition(key, curve, FAMILIES, noise.NOISE, jnp.array(jnp.nan), **options).log_evidence

    keys = jax.random.split(jax.random.key(0), 12)
    spread = np.array([np.std([find_evidence(key, error) for key in keys], axis=0, ddof=1) for error in errors])
    print("standard deviation of the log evidence between keys", spread.round(2).tolist())
    assert np.sqrt(np.mean(spread[:, :-1] ** 2)) < 0.3
