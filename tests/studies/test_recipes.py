"""Recipes: the network, loss and budget of each name."""

import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.models.vision.alexnet import AlexNet, SmallAlexNet
from lcjax.models.vision.densenet import DenseNet
from lcjax.models.vision.inception import InceptionV3, SmallInception
from lcjax.models.vision.resnet import ResNet
from lcjax.models.vision.vgg import VGG
from lcjax.studies.recipes import RECIPES, image_recipe, mlp_recipe
from lcjax.training import Budget, epochs, momentum


def images(side, classes=3):
    examples = lc.Examples(np.zeros((3, side, side + 1, 3), np.uint8), np.arange(3, dtype=np.int32))
    return lc.Data(examples, examples, None, classes=classes)


@pytest.mark.parametrize(
    ("name", "model", "rate", "batch", "budget", "fine_tune", "tune_rate", "margin"),
    [
        ("mlp", "MLP", 3e-3, 16, Budget(3000), Budget(3000), 1e-2, 0.02),
        ("lenet", "LeNet", 4e-3, 128, Budget(1000, 14), Budget(500, 6), 4e-3, 0.005),
        ("driving", "DrivingNet", 1e-3, 32, Budget(800, 40), Budget(400, 10), 5e-4, 0.02),
        ("quicknet", "QuickNet", 1e-3, 64, Budget(1500, 20), Budget(500, 6), 1e-3, 0.01),
    ],
)
def test_small_networks(name, model, rate, batch, budget, fine_tune, tune_rate, margin):
    recipe = RECIPES[name](images(32))
    program = recipe.program
    assert type(program.model).__name__ == model
    assert (recipe.learning_rate, program.batch, program.budget) == (rate, batch, budget)
    assert (recipe.fine_tune, recipe.fine_tune_rate, recipe.margin) == (fine_tune, tune_rate, margin)
    assert (program.optimizer, program.sampling) == (optax.adam, epochs)


@pytest.mark.parametrize(
    ("name", "small", "large"),
    [
        ("vgg16", VGG, VGG), ("resnet18", ResNet, ResNet), ("resnet50", ResNet, ResNet),
        ("densenet", DenseNet, DenseNet), ("alexnet", SmallAlexNet, AlexNet),
        ("inception", SmallInception, InceptionV3),
    ],
)  # fmt: skip
def test_large_networks_have_an_imagenet_variant(name, small, large):
    rate = 0.01 if name == "alexnet" else 0.05
    for side, kind, batch in ((32, small, 128), (111, small, 128), (112, large, 256)):
        recipe = RECIPES[name](images(side))
        program = recipe.program
        assert type(program.model) is kind
        assert (recipe.learning_rate, recipe.fine_tune_rate, program.batch) == (rate, rate / 5, batch)
        assert (program.optimizer, program.budget, recipe.fine_tune) == (momentum, Budget(2000, 60), Budget(500, 10))
    model = RECIPES["vgg16"](images(112)).program.model
    assert (model.hidden, model.dropout) == ((4096, 4096), 0.5)
    assert RECIPES["resnet18"](images(112)).program.model.imagenet_stem
    assert not RECIPES["resnet18"](images(111)).program.model.imagenet_stem


def test_the_loss_and_the_outputs_are_those_of_the_task():
    for classes, outputs, loss in ((3, 3, lc.cross_entropy), (0, 1, lc.models.mean_squared_error)):
        for name in ("mlp", "lenet", "quicknet", "resnet18"):
            program = RECIPES[name](images(32, classes)).program
            assert program.objective is loss
            assert program.model.classes == outputs
    assert RECIPES["driving"](images(66)).program.objective is lc.models.mean_squared_error


def test_a_budget_is_replaced_in_part():
    recipe = RECIPES["lenet"](images(32))
    assert recipe.with_budget().program.budget == Budget(1000, 14)
    assert recipe.with_budget(steps=0).program.budget == Budget(0, 14)
    assert recipe.with_budget(epochs=2.0).program.budget == Budget(1000, 2.0)
    assert recipe.with_budget(steps=5).learning_rate == recipe.learning_rate


def test_models_that_do_not_fit_the_data():
    part = lc.Examples(np.zeros((3, 4)), np.zeros(3, int))
    with pytest.raises(ValueError, match=r"quicknet takes images .* inputs of shape \(3, 4\)"):
        RECIPES["quicknet"](lc.Data(part, part, None, classes=2))
    with pytest.raises(ValueError, match="at least 32 pixels per side"):
        image_recipe(images(31), model="vgg16")
    with pytest.raises(ValueError, match=r"Only residual networks have a width, not vgg16: got 0\.5"):
        image_recipe(images(32), model="vgg16", width=0.5)
    with pytest.raises(ValueError, match="Unknown model 'lenet7'; the models are mlp, lenet,"):
        image_recipe(images(32), model="lenet7")
    assert mlp_recipe(images(3)).margin == 0.02
