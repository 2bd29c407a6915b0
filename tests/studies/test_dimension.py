"""Dimension by capacity: one bottleneck sweep per network."""

import dataclasses
import json

import numpy as np
import pytest

import lcjax as lc
from lcjax.models.vision.mlp import MLP
from lcjax.studies.dimension import measure_dimensions


@pytest.fixture(scope="module")
def table(key, small, recipe, tmp_path_factory):
    narrow = dataclasses.replace(recipe, program=dataclasses.replace(recipe.program, model=MLP((3,), 10)))
    folder, events = tmp_path_factory.mktemp("dimension"), []
    recipes = {"narrow": narrow, "wide": recipe}
    result = measure_dimensions(
        key, small, recipes, size=120, seeds=2, widths=(1, 4), margin=0.2, folder=str(folder),
        on_progress=events.append,
    )  # fmt: skip
    return result, folder, events, recipes


def test_each_network_has_a_row(table):
    result, *_ = table
    assert result.name == ("narrow", "wide")
    np.testing.assert_array_equal(result.parameters, [64 * 3 + 3 + 3 * 10 + 10, 64 * 16 + 16 + 16 * 10 + 10])
    assert (result.size, result.seeds) == (120, 2)
    assert [sweep.width.tolist() for sweep in result.sweeps] == [[1], [1, 4]]  # 3 features have no width of 4
    np.testing.assert_array_equal(result.dimension, [int(sweep.estimate.value) for sweep in result.sweeps])


def test_training_errors_and_accuracies_are_those_of_a_sweep(table, key, small):
    result, _, _, recipes = table
    for i, recipe in enumerate(recipes.values()):
        runs = lc.Runs.grid(recipe.program, seed=range(2), size=120, learning_rate=recipe.learning_rate)
        alone = lc.sweep(key, small.without_test(), runs)
        assert result.train_error[i] == pytest.approx(alone.train_error[:, -1].mean(), abs=2.1 / 240)
        reference = 1 - alone.validation_error[:, -1].mean()
        assert float(result.sweeps[i].reference) == pytest.approx(reference, abs=2.1 / 120)


def test_the_report_and_progress(table):
    _, folder, events, _ = table
    written = json.loads((folder / "dimension.json").read_text())
    assert written["dimension"]["name"] == ["narrow", "wide"]
    assert written["configuration"]["margin"] == 0.2
    stages = list(dict.fromkeys(event.stage for event in events))
    assert stages[:2] == ["train narrow", "narrow: fine-tune 2 bottlenecks"]
    assert stages[3:5] == ["train wide", "wide: fine-tune 4 bottlenecks"]


def test_a_recipe_is_needed(key, small):
    with pytest.raises(ValueError, match="at least one recipe"):
        measure_dimensions(key, small, {})
