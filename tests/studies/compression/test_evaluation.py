"""Evaluation in blocks, equal to that of all examples at once."""

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.compression import evaluation
from lcjax.studies.compression.evaluation import Accuracy, block_sizes, normalize, outputs_of


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(23, 5)).astype("f4"), rng.integers(0, 3, 23)
    model = lc.models.MLP((4,), 3)
    return model, model.init(jax.random.key(0), inputs), inputs, targets


def test_accuracy_in_blocks_is_that_of_all(network):
    model, variables, inputs, targets = network
    outputs = model.apply(variables, inputs)
    expected = np.mean(np.argmax(outputs, axis=1) == targets)
    params = variables["params"]
    for block in (23, 10, 1, 100):
        actual = Accuracy(model, block, lc.models.multiclass_hinge)({}, inputs, targets, params)
        assert float(actual["accuracy"]) == pytest.approx(expected)
        np.testing.assert_allclose(actual["loss"], np.mean(lc.models.multiclass_hinge(outputs, targets)), rtol=1e-5)
        assert int(actual["surviving"]) == sum(np.count_nonzero(leaf) for leaf in jax.tree.leaves(params))
        assert float(Accuracy(model, block)({}, inputs, targets, params)) == pytest.approx(expected)


def test_outputs_in_blocks_are_those_of_all(network, monkeypatch):
    model, variables, inputs, targets = network
    part = lc.Examples(inputs, targets)
    data = lc.Data(part, part, part, 0.5, 2.0, classes=3)
    for block in (250, 10):
        monkeypatch.setattr(evaluation, "IMAGES", block)
        for method in ("__call__", "features"):
            expected = model.apply(variables, (inputs - 0.5) * 2, method=method)
            np.testing.assert_allclose(outputs_of(model, variables, data, part, method=method), expected, rtol=1e-5)
    np.testing.assert_array_equal(normalize(data, np.ones((1, 2))), np.ones((1, 2)))


def test_many_perceptrons_are_evaluated_at_once():
    assert block_sizes({"kernel": np.zeros((180, 50)), "bias": np.zeros(50)}, 2**20) == (1, 2**20)
    assert block_sizes({"kernel": np.zeros((180, 50))}, 2**14)[0] == 2**25 // (50 * 2**14)
