"""Allocations by a fitted law: closed form, intervals, refusals, wrong arguments."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from lcjax.records import from_dict, parse_json, to_dict
from lcjax.scaling.allocation import Allocation, allocate
from lcjax.scaling.identifiability import Identifiability, Reason
from lcjax.scaling.laws import chinchilla, data_constrained, in_tokens
from tests.scaling.allocation.tables import VALUES, isoflop_table, known_fit, optimum, true_exponent

TABLE = isoflop_table()
COMPUTE = np.array([1e20, 1e23])


def test_an_allocation_is_that_of_the_closed_form():
    fit = known_fit(TABLE)
    best = allocate(fit, COMPUTE)
    values = {name: float(value) for name, value in fit.parameters.items()}
    np.testing.assert_allclose(best.params, optimum(values, COMPUTE), rtol=1e-8)
    np.testing.assert_allclose(6 * best.params * best.tokens, COMPUTE, rtol=1e-12)
    np.testing.assert_allclose(best.params_exponent, true_exponent(values), rtol=1e-8)
    np.testing.assert_allclose(best.tokens_exponent, 1 - best.params_exponent)
    np.testing.assert_allclose(best.loss, chinchilla(values, params=best.params, tokens=best.tokens), rtol=1e-6)
    np.testing.assert_allclose(best.decades, [-1, 2], atol=1e-6)
    assert best.intervals is None
    assert best.refused == ()
    one = allocate(fit, 1e23)
    assert one.params.shape == ()
    np.testing.assert_allclose(one.params, best.params[1])
    assert "least with" in one.headline()
    assert from_dict(Allocation, parse_json(json.dumps(to_dict(best)))).params.tolist() == best.params.tolist()


def test_operations_per_parameter_and_token_are_a_unit():
    np.testing.assert_allclose(
        allocate(known_fit(TABLE), 2e20, flops=12).params, allocate(known_fit(TABLE), 1e20).params, rtol=1e-9
    )


def test_intervals_are_those_of_the_draws():
    exponents = np.linspace(-0.4, -0.3, 101)
    draws = np.array([[{**VALUES, "model_exponent": one}[name] for name in chinchilla.names] for one in exponents])
    best = allocate(known_fit(TABLE, draws=draws), COMPUTE, level=0.9)
    expected = [[optimum({**VALUES, "model_exponent": one}, c) for one in exponents[[95, 5]]] for c in COMPUTE]
    np.testing.assert_allclose(
        np.sort(best.intervals["params"], axis=0), np.sort(np.array(expected).T, axis=0), rtol=1e-4
    )
    low, high = best.intervals["params_exponent"]
    a = sorted(0.37 / (0.37 - exponents[[95, 5]]))
    np.testing.assert_allclose([low[0], high[0]], a, rtol=1e-5)
    assert set(best.intervals) == {
        "params", "tokens", "tokens_per_param", "params_exponent", "tokens_exponent", "loss"
    }  # fmt: skip


def test_far_budgets_open_designs_and_laws_without_a_minimum_are_refused():
    draws = np.tile([VALUES[name] for name in chinchilla.names], (5, 1))
    fit = known_fit(TABLE, draws=draws)
    far = allocate(fit, np.array([1e23, 1e25]))
    assert far.refused == ("compute 1e+25 is 4.00 decades beyond the runs, more than 3",)
    assert far.intervals["params"][:, 1].tolist() == [0, np.inf]
    assert np.isfinite(far.intervals["params"][:, 0]).all()
    assert far.told.tolist() == [True, False]
    assert far.headline().startswith("At compute 1e+23 the loss is least")
    assert "refused: compute 1e+25" in allocate(fit, 1e25).headline()
    told = Identifiability((Reason("one_budget", "all runs have one budget", ("offset",)),))
    open_design = allocate(dataclasses.replace(fit, identifiability=told), 1e20)
    assert open_design.refused == ("all runs have one budget",)
    assert open_design.intervals["params_exponent"].tolist() == [-np.inf, np.inf]
    flat = Identifiability((Reason("flat_loss", "the losses agree with anything", ("offset",)),))
    assert allocate(dataclasses.replace(fit, identifiability=flat), 1e20).refused == ()
    no_data = known_fit(TABLE, {**VALUES, "data_scale": 0.0}, draws=draws)
    assert "no distinct minimum" in allocate(no_data, 1e20).refused[0]


def test_further_variables_are_fixed():
    values = {**VALUES, "repeats_decay": 15.0, "params_decay": 5.0}
    table = {**TABLE, "unique_tokens": np.full(28, 1e9)}
    fit = known_fit(table, values, data_constrained)
    plenty, scarce = (allocate(fit, 1e21, unique_tokens=unique) for unique in (1e14, 1e8))
    np.testing.assert_allclose(plenty.params, optimum(VALUES, 1e21), rtol=1e-3)
    assert scarce.loss > plenty.loss
    with pytest.raises(ValueError, match=r"data_constrained has unique_tokens .* to be fixed, got nothing"):
        allocate(fit, 1e21)
    with pytest.raises(ValueError, match=r"chinchilla has nothing beside .* got bits"):
        allocate(known_fit(TABLE), 1e21, bits=8.0)


@pytest.mark.parametrize("compute", [0.0, -1e20, np.nan, np.inf])
def test_wrong_budgets_raise(compute):
    with pytest.raises(ValueError, match="compute must be positive and finite"):
        allocate(known_fit(TABLE), compute)


def test_wrong_arguments_raise():
    fit = known_fit(TABLE)
    with pytest.raises(ValueError, match="flops must be positive"):
        allocate(fit, 1e20, flops=0.0)
    with pytest.raises(ValueError, match="level of an interval"):
        allocate(fit, 1e20, level=1.0)
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        allocate(fit, np.ones((1, 2)))
    other = known_fit(TABLE, {"offset": 1.0, "scale": 5.0, "exponent": -0.3}, in_tokens)
    with pytest.raises(ValueError, match="in_tokens is one of tokens"):
        allocate(other, 1e20)
    assert jax.tree.leaves(allocate(fit, 1e20))
