"""Three approaches side by side."""

import csv

import jax
import numpy as np
import pytest

from lcjax.scaling.allocation import compare_approaches
from lcjax.scaling.laws import data_constrained
from tests.scaling.allocation.tables import VALUES, isoflop_table, optimum, true_exponent

KEY = jax.random.key(0)


def test_approaches_agree_on_an_exact_law():
    table = isoflop_table(spread=3.0)
    three = compare_approaches(KEY, table, np.array([1e21, 1e23]), draws=0)
    assert set(three.allocations) == {"isoflops", "surface"}
    assert "Approach 1 needs 3 training curves" in three.absent["envelope"]
    for one in three.allocations.values():
        np.testing.assert_allclose(one.params, optimum(VALUES, np.array([1e21, 1e23])), rtol=0.1)
        np.testing.assert_allclose(one.params_exponent, true_exponent(VALUES), atol=0.01)
    assert (three.disagreement < 1.1).all()
    assert f"The largest is {three.disagreement[1]:.3g} times the smallest." in three.headline()
    assert "by isoFLOP parabolas (exponent 0.5" in three.headline()
    assert abs(three.bias.bias) < 0.01


def test_far_budgets_have_no_headline_numbers():
    three = compare_approaches(KEY, isoflop_table(spread=3.0), 1e26, draws=0)
    assert three.headline().startswith("No approach gives an allocation: Approach 1 needs")
    assert "decades beyond the runs" in three.headline()
    assert np.isnan(three.disagreement)


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
