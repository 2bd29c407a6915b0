"""Networks of the paper, with their data, recipes and losses."""

import dataclasses

import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.compression.nets import convolutional_subject, fully_connected_subjects
from lcjax.studies.compression.recipes import FullyConnectedRecipe


def test_perceptrons_have_layers_of_one_width(digits):
    subjects = fully_connected_subjects(digits, (0, 2), 7, FullyConnectedRecipe(3))
    assert {name: one.model.widths for name, one in subjects.items()} == {"0": (), "2": (7, 7)}
    assert all(one.recipe.passes == 3 and len(one.losses) == 6 for one in subjects.values())
    for depths in ((), (1, -1)):
        with pytest.raises(ValueError, match="at least 0"):
            fully_connected_subjects(digits, depths, 7, FullyConnectedRecipe())


def test_networks_of_the_paper(digits):
    quick = convolutional_subject("quicknet", digits, steps=10, batch=32)
    assert (quick.recipe.batch, quick.recipe.dropout, quick.recipe.steps, len(quick.losses)) == (32, 0.5, 10, 12)
    np.testing.assert_allclose(quick.data.offset, digits.train.inputs.mean(axis=0), rtol=1e-5)
    assert len(quick.data.test.targets) == 359  # only CIFAR's test set is halved
    cifar = dataclasses.replace(digits, name="CIFAR-10")
    dense = convolutional_subject("densenet", cifar, depth=7, seed=3, batch=16)
    assert (dense.recipe.batch, dense.recipe.dropout, dense.model.depth, len(dense.losses)) == (16, 0.2, 7, 7)
    assert [len(part.targets) for part in (dense.data.validation, dense.data.test)] == [179, 180]
    np.testing.assert_array_equal(dense.data.offset, digits.offset)


def test_unknown_networks_and_other_inputs(digits):
    with pytest.raises(ValueError, match="Unknown network 'vgg'"):
        convolutional_subject("vgg", digits)
    flat = dataclasses.replace(digits, train=lc.Examples(np.zeros((3, 64)), np.zeros(3, int)))
    with pytest.raises(ValueError, match=r"quicknet takes images .* got \(3, 64\)"):
        convolutional_subject("quicknet", flat)
