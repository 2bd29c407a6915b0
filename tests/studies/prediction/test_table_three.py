"""Rows of Table 3: recipes, settings, and the paper's numbers with those of a prediction."""

import dataclasses

import numpy as np
import pytest

import lcjax as lc
from lcjax.papers.bisla import TABLE_3
from lcjax.studies.prediction.table_three import row_recipe, row_settings, side_by_side
from lcjax.training import momentum

ROW = TABLE_3["mnist-lenet"]


def images(side, classes=10):
    targets = np.arange(10, dtype=np.int32) if classes else np.zeros(10, np.float32)
    part = lc.Examples(np.zeros((10, side, side, 3), np.uint8), targets)
    return lc.Data(part, part, None, classes=classes)


def test_recipes_use_the_papers_optimizer(digits):
    recipe = row_recipe(ROW, digits)
    assert recipe.program.optimizer is momentum
    assert (recipe.learning_rate, recipe.fine_tune_rate) == (0.02, 0.01)
    assert row_recipe(TABLE_3["udacity-convnet"], images(66, 0)).program.optimizer.__name__ == "adam"
    wide = row_recipe(TABLE_3["cifar10-resnet18"], images(32), width=0.5)
    assert wide.program.model.width == 32
    with pytest.raises(ValueError, match=r"not lenet: got 0\.5"):
        row_recipe(ROW, digits, width=0.5)


def test_settings_name_their_source(digits):
    settings = {
        name: (value, source) for name, value, source in row_settings(ROW, row_recipe(ROW, digits), (0.25, 1.0))
    }
    assert settings["model"] == ("LeNet", "paper; no padding: ours")
    assert settings["momentum"] == ("0.9", "ours")
    assert settings["loss"] == ("cross entropy", "paper")
    assert settings["learning rate"] == ("0.02, cosine", "ours")
    assert settings["fractions, %"] == ("25, 100", "ours (paper: 3.125, 6.25, 12.5, 25, 50, 75, 100)")
    assert settings["dimension"][0] == "smallest width within 0.5 %, tested"
    of_paper = {name: source for name, _, source in row_settings(ROW, row_recipe(ROW, digits), ROW.fractions)}
    assert of_paper["fractions, %"] == "paper"
    driving = TABLE_3["udacity-convnet"]
    settings = row_settings(driving, row_recipe(driving, images(66, 0)), driving.fractions)
    assert [value for name, value, _ in settings if name in ("optimizer", "momentum")] == ["Adam", "–"]


def test_numbers_stand_side_by_side(study):
    prediction = study.prediction
    table = side_by_side(ROW, prediction)
    assert (table["row"], table["test_features"]) == ("MNIST, LeNet", "validation")
    assert table["paper"]["dimension"] == 2
    spread = np.sqrt((377.855 + 264.029) / 2)
    assert table["paper"]["relative_radius"]["hypercube"] == pytest.approx(17.375 / spread)
    assert len(table["ours"]) == 2
    for seed, ours in enumerate(table["ours"]):
        variance = np.diag(np.asarray(prediction.train_density.covariance)[seed])
        np.testing.assert_allclose(ours["train_variance"], variance)
        np.testing.assert_allclose(ours["test_variance"], np.diag(np.asarray(prediction.test_density.covariance)[seed]))
        np.testing.assert_allclose(ours["train_mean"], prediction.train_density.mean[seed])
        np.testing.assert_allclose(ours["test_mean"], prediction.test_density.mean[seed])
        radius = float(prediction.methods["hypercube"].parameters["radius"][seed])
        assert list(ours["radius"]) == ["hypercube", "hypercube_squared"]  # distances are not those of Table 3
        assert ours["radius"]["hypercube"] == pytest.approx(radius)
        assert ours["relative_radius"]["hypercube"] == pytest.approx(radius / np.sqrt(variance.mean()))
        assert ours["dimension"] == int(prediction.dimension)
    paper = side_by_side(ROW, dataclasses.replace(prediction, paper_protocol=True))
    assert paper["test_features"] == "test"
