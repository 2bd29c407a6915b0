"""Three approaches side by side."""

import csv
import functools

import jax
import numpy as np
import pytest

from lcjax.scaling.allocation import compare_approaches
from lcjax.scaling.laws import data_constrained
from tests.scaling.allocation.tables import chinchilla_loss, isoflop_table, optimum, true_exponent

KEY = jax.random.key(0)
SMALL = {"offset": 0.5, "model_scale": 20.0, "model_exponent": -0.4, "data_scale": 30.0, "data_exponent": -0.3}


@functools.cache
def compare_exact(compute):
    """Compare on 20 runs whose places are those of the tests of fits, so that one program is compiled for both."""
    n, d = (a.ravel() for a in np.meshgrid(10.0 ** np.arange(3, 7), 10.0 ** np.arange(3, 8)))
    table = {"params": n, "tokens": d, "loss": chinchilla_loss(SMALL, n, d)}
    return compare_approaches(KEY, table, np.array(compute), draws=0)


@pytest.mark.slow
def test_approaches_on_an_exact_law():
    compute = np.array([6e11, 6e14])
    three = compare_exact(tuple(compute))
    surface, isoflops = three.allocations["surface"], three.allocations["isoflops"]
    np.testing.assert_allclose(surface.params, optimum(SMALL, compute), rtol=1e-3)
    np.testing.assert_allclose(surface.params_exponent, true_exponent(SMALL), rtol=1e-3)
    # Two budgets, and models up to ten times as large or small as the best: the bias is large enough to be reported.
    np.testing.assert_allclose(isoflops.params_exponent - true_exponent(SMALL), three.bias.bias, atol=1e-3)
    assert len(three.isoflops.frontier.compute) == 2
    params = np.stack([one.params for one in three.allocations.values()])
    np.testing.assert_allclose(three.disagreement, params.max(axis=0) / params.min(axis=0))
    assert set(three.allocations) | set(three.absent) == {"envelope", "isoflops", "surface"}
    assert f"The largest is {three.disagreement[1]:.3g} times the smallest." in three.headline()
    assert "by isoFLOP parabolas (exponent" in three.headline()


def test_far_budgets_have_no_headline_numbers():
    three = compare_exact((6e11, 6e20))
    assert three.headline().startswith("Optimal parameters at compute 6e+11: ")
    assert np.isnan(three.disagreement[1])
    far = compare_exact((6e20,))
    assert far.headline().startswith("No approach gives an allocation: ")
    assert "decades beyond the runs" in far.headline()


def test_approaches_that_do_not_apply_are_absent():
    n, d = (a.ravel() for a in np.meshgrid([1e3, 1e4, 1e5, 1e6], 2.3 ** np.arange(10, 15)))
    three = compare_approaches(KEY, {"params": n, "tokens": d, "loss": chinchilla_loss(SMALL, n, d)}, 1e10, draws=0)
    assert "two budgets with 4 sizes of model" in three.absent["isoflops"]
    assert three.isoflops is None
    assert three.bias is None


def test_wrong_arguments_raise():
    table = isoflop_table()
    with pytest.raises(ValueError, match="unique_tokens"):
        compare_approaches(KEY, table, 1e21, law=data_constrained)
    with pytest.raises(ValueError, match="needs the column tokens"):
        compare_approaches(KEY, {name: table[name] for name in ("params", "compute", "loss")}, 1e21)
    with pytest.raises(ValueError, match="level"):
        compare_approaches(KEY, table, 1e21, level=0.0)


@pytest.mark.slow
def test_the_runs_of_hoffmann_et_al(shared_data, x64):
    """Approaches 2 and 3 find exponents near the published 0.49 and 0.46, and Epoch AI's 0.514."""
    path = shared_data / "scaling_laws" / "isoflops.csv"
    if not path.exists():
        pytest.skip(f"no file {path}")
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == "epochai_chinchilla"]
    rows = [row for row in rows if row["outlier"] != "True"]
    names = {"params": "params", "tokens": "tokens", "loss": "loss", "compute": "budget"}
    table = {name: np.array([float(row[column]) for row in rows]) for name, column in names.items()}
    three = compare_approaches(KEY, table, 5.76e23, draws=100)
    for name in ("isoflops", "surface"):
        low, high = three.allocations[name].intervals["params_exponent"]
        assert 0.4 < low < three.allocations[name].params_exponent < high < 0.65
