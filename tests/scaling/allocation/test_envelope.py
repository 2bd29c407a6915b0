"""Approach 1: exponents of exact curves, draws, too few curves."""

import jax
import numpy as np
import pytest

from lcjax.scaling.allocation import fit_envelope
from tests.scaling.allocation.tables import VALUES, chinchilla_loss, optimum, true_exponent

KEY = jax.random.key(0)


def curves(sizes=10, points=80, noise=0.0):
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e10, sizes), np.geomspace(1e7, 1e13, points)))
    loss = chinchilla_loss(VALUES, n, d) * np.exp(
        noise * np.random.default_rng(0).normal(size=sizes)[np.argsort(n) % sizes]
    )
    return {"params": n, "tokens": d, "loss": loss}


def test_exact_curves_give_the_exponent_of_their_law():
    table = curves()
    result = fit_envelope(KEY, table, draws=50)
    law = result.frontier
    np.testing.assert_allclose(law.params_exponent, true_exponent(VALUES), rtol=0.01)
    np.testing.assert_allclose(law.tokens_exponent, 1 - true_exponent(VALUES), rtol=0.01)
    assert result.curves == 10
    assert len(law.compute) == 8  # all but the smallest and the largest model
    np.testing.assert_allclose(law.allocate(1e21).params, optimum(VALUES, 1e21), rtol=0.05)
    own = chinchilla_loss(VALUES, result.params, result.tokens)
    np.testing.assert_allclose(result.loss, own, rtol=1e-3)
    np.testing.assert_allclose(6 * result.params * result.tokens, result.compute, rtol=1e-6)
    np.testing.assert_allclose(law.draws["params_exponent"], law.params_exponent, atol=0.01)


def test_curves_are_named_by_a_column():
    table = curves()
    names = np.unique(table["params"], return_inverse=True)[1]
    named = fit_envelope(KEY, {**table, "run": names}, curve="run", draws=0)
    np.testing.assert_allclose(
        named.frontier.params_exponent, fit_envelope(KEY, table, draws=0).frontier.params_exponent
    )
    order = np.random.default_rng(1).permutation(len(names))
    mixed = {name: column[order] for name, column in table.items()}
    np.testing.assert_allclose(fit_envelope(KEY, mixed, draws=0).params, named.params)


def test_three_decades_beyond_the_runs_are_allowed():
    law = fit_envelope(KEY, curves(), draws=20).frontier
    largest = 6 * 1e10 * 1e13
    best = law.allocate(np.array([1000 * largest, 1100 * largest]))
    assert best.told.tolist() == [True, False]
    assert best.refused == ("compute 6.6e+26 is 3.04 decades beyond the runs, more than 3",)


def test_two_models_leave_the_interval_open():
    law = fit_envelope(KEY, curves(sizes=4), draws=20).frontier
    assert len(law.compute) == 2
    assert law.allocate(1e20).intervals["params_exponent"].tolist() == [-np.inf, np.inf]


def test_too_few_curves_are_refused():
    with pytest.raises(ValueError, match="3 training curves of 3 points; 2 of the table's 2 sizes of model"):
        fit_envelope(KEY, curves(sizes=2))
    with pytest.raises(ValueError, match="0 of the table's 10 sizes"):
        fit_envelope(KEY, curves(points=2))
    with pytest.raises(ValueError, match="two models that win a whole range"):
        fit_envelope(KEY, curves(sizes=3))
    with pytest.raises(ValueError, match="no column 'run'"):
        fit_envelope(KEY, curves(), curve="run")
    table = curves()
    with pytest.raises(ValueError, match="loss must be positive, got -"):
        fit_envelope(KEY, {**table, "loss": table["loss"] - 5})
    with pytest.raises(ValueError, match="draws must be >= 0"):
        fit_envelope(KEY, table, draws=-1)
