"""Recipes of the compression study, by default the paper's."""

import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.compression.recipes import ConvolutionalRecipe, FullyConnectedRecipe


def test_convolutional_networks_divide_their_rate_twice():
    recipe = ConvolutionalRecipe()
    program = recipe.program(lc.models.LeNet(), lc.cross_entropy, choosing=False)
    factors = [float(program.schedule(step / 230_000)) for step in (0, 99_980, 100_000, 199_980, 200_000, 229_999)]
    np.testing.assert_allclose(factors, [1, 1, 0.1, 0.1, 0.01, 0.01], rtol=1e-6)
    assert (program.budget.steps, program.budget.records, program.batch, recipe.thresholds) == (230_000, 100, 100, 100)
    short = ConvolutionalRecipe(20, choice=5, records=3)
    budgets = [short.program(lc.models.LeNet(), lc.cross_entropy, choosing=c).budget for c in (True, False)]
    assert [(budget.steps, budget.records) for budget in budgets] == [(5, 1), (20, 3)]


def test_fully_connected_networks_train_at_one_over_the_epoch():
    recipe = FullyConnectedRecipe()
    program = recipe.program(lc.models.MLP(), lc.models.multiclass_hinge, choosing=True)
    assert (program.budget.epochs, program.budget.records, recipe.thresholds) == (500, 1, 50)
    np.testing.assert_allclose([float(program.schedule(e / 500)) for e in (0, 1, 99, 499)], [1, 0.5, 0.01, 0.002])
    short = FullyConnectedRecipe(2.5, choice=1)
    budgets = [short.program(lc.models.MLP(), lc.cross_entropy, choosing=c).budget for c in (True, False)]
    assert [(budget.epochs, budget.records) for budget in budgets] == [(1, 1), (2.5, 100)]


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        (FullyConnectedRecipe, {"passes": 0}, "got passes 0"),
        (FullyConnectedRecipe, {"passes": 5, "choice": 6}, "choice 6"),
        (ConvolutionalRecipe, {"steps": 5, "choice": 0}, "choice 0"),
        (ConvolutionalRecipe, {"steps": 5, "batch": 0}, "batch 0"),
    ],
)
def test_bad_recipes(recipe, options, message):
    with pytest.raises(ValueError, match=message):
        recipe(**options)


def test_the_choice_may_take_the_whole_length():
    assert ConvolutionalRecipe(5, choice=5, batch=1).choice == 5
