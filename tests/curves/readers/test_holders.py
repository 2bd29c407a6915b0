"""Curves in the records that hold them: tables, collections, and batches of one."""

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.curves.forms import power_law
from lcjax.curves.readers.holders import curve_of, name_curves, single_curve

SIZES = [100, 200, 400]


@pytest.fixture(scope="module")
def measured():
    return lc.collect(lambda seed, indices: {"error": (1 + 0.01 * seed) * len(indices) ** -0.5}, SIZES, examples=400)


@pytest.fixture
def several():
    return lc.read_curves({"size": SIZES, "mlp": [0.4, 0.3, 0.2], "lenet": [0.3, 0.2, 0.1]})


def test_a_collection_has_one_curve_with_its_repeats(measured):
    table = measured.curves()
    curve, names = curve_of(measured)
    assert (np.shape(curve.error), np.shape(curve.replicates), names) == ((3,), (3, 3), ("",))
    for source in (measured, table, table.curve):
        (name, one), *_ = name_curves({"rf": source}).items()
        assert name == "rf"
        np.testing.assert_array_equal(one.error, table.curve.error[0])
        np.testing.assert_array_equal(one.replicates, table.curve.replicates[0])
    with pytest.raises(ValueError, match="The curves have no names: pass them by name"):
        name_curves(table)


def test_a_table_has_its_curves_by_name_without_held_out_sizes(several):
    assert {name: one.error.tolist() for name, one in name_curves(several).items()} == {
        "mlp": [0.4, 0.3, 0.2],
        "lenet": [0.3, 0.2, 0.1],
    }
    fitted = np.array([[True, True, False], [True, True, True]])
    curve, names = curve_of(dataclasses.replace(several, fitted=fitted))
    np.testing.assert_array_equal(curve.error, [[0.4, 0.3, np.nan], [0.3, 0.2, 0.1]])
    assert names == ("mlp", "lenet")
    with pytest.raises(ValueError, match=r"The curve 'all' is a batch of curves, with errors of shape \(2, 3\)"):
        name_curves({"all": several})


def test_a_batch_of_one_loses_its_axis_and_nothing_else():
    curve = lc.LearningCurve(
        np.array(SIZES), np.array([[0.4, 0.3, 0.2]]), replicates=np.full((1, 2, 3), 0.3), test_count=np.array([50])
    )
    one = single_curve(curve)
    assert (one.size.tolist(), one.error.tolist()) == (SIZES, [0.4, 0.3, 0.2])
    assert (np.shape(one.replicates), np.shape(one.test_count)) == ((2, 3), ())
    assert single_curve(one) is one


def test_an_object_without_a_curve_is_refused():
    for source in (SimpleNamespace(curves=None), SimpleNamespace(curve=0.5, fitted=True, names=())):
        with pytest.raises(ValueError, match=r"Pass a learning curve, the table of lcjax\.read_curves or the meas"):
            curve_of(source)


def test_collections_are_compared_and_fitted(measured, several):
    key = jax.random.key(0)
    for source in (measured, measured.curves()):
        with pytest.raises(ValueError, match="There is no curve 'c' to be the baseline; the curves are rf, lr"):
            lc.compare_curves(key, {"rf": source, "lr": source}, baseline="c")
    with pytest.raises(ValueError, match="the curves are mlp, lenet"):
        lc.compare_curves(key, several, baseline="c")
    one, batch = (
        lc.fit_curve(source, power_law).predict(np.array([900.0])) for source in (measured, measured.curves())
    )
    np.testing.assert_allclose(one, [1.01 / 30], rtol=1e-3)
    np.testing.assert_allclose(batch, one[None], rtol=1e-5)


@pytest.mark.slow
def test_a_collection_and_its_curve_have_the_same_forecast(measured):
    key, table = jax.random.key(0), measured.curves()
    alone = lc.LearningCurve(table.curve.size[0], table.curve.error[0], replicates=table.curve.replicates[0])
    found, batch, expected = (
        np.asarray(lc.forecast(key, source, draws=64).predict(np.array([800.0]))) for source in (measured, table, alone)
    )
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(batch, expected[None])
