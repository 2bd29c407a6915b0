"""Training and preprocessing of Zhang et al. (2017)."""

import dataclasses

import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.randomization.cases import Randomization
from lcjax.studies.randomization.nets import NETS
from lcjax.studies.randomization.recipe import RandomizationRecipe, prepare
from lcjax.training import Budget


def test_the_text_separates_the_papers_settings_from_ours():
    text = str(RandomizationRecipe(1000, batch=64))
    assert text.index("stated by the paper") < text.index("momentum 0.9") < text.index("ours (slides: 128)")
    assert "1000, the rate times 0.95 every 391 steps (an epoch" in text
    assert "every 50 steps\n" in str(RandomizationRecipe(1000, decay_steps=50))


def test_the_rate_falls_every_epoch_of_the_papers_set():
    program = RandomizationRecipe(782).program(NETS["mlp-1x512"].build(10), Randomization(10))
    np.testing.assert_allclose([program.schedule(s / 782) for s in (0, 390, 391, 781)], [1, 1, 0.95, 0.95], rtol=1e-6)
    assert (program.batch, program.budget) == (128, Budget(steps=782, records=50))
    assert program.augment is None
    assert program.corrupt == Randomization(10)


def test_a_crop_shifts_by_two_of_28_pixels():
    recipe = RandomizationRecipe(2)
    small = recipe.program(NETS["lenet"].build(10), Randomization(10), crop=True)
    assert small.augment.changes[0].padding == 2
    large = recipe.program(NETS["inception-v3"].build(10), Randomization(10), crop=True, side=299)
    assert large.augment.changes[0].padding == 21


def test_images_are_cropped_and_standardized():
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 34, 3)).astype(np.uint8)
    images[7] = 200  # a constant image is divided by the floor, not by zero
    part = lc.Examples(images, np.arange(20) % 2)
    data = prepare(lc.Data(part, part, part, 7.0, 9.0, classes=2, name="images"))
    window = images[:, 2:30, 3:31].astype(float) / 255
    spread = np.maximum(window.std(axis=(1, 2, 3)), 1 / np.sqrt(28 * 28 * 3))
    expected = (window - window.mean(axis=(1, 2, 3))[:, None, None, None]) / spread[:, None, None, None]
    for split in (data.train, data.validation, data.test):
        np.testing.assert_allclose(split.inputs, expected, atol=1e-4)
    assert (data.offset, data.scale, data.classes, data.name) == (0.0, 1.0, 2, "images")
    assert prepare(data.without_test(), crop=8).train.inputs.shape == (20, 8, 8, 3)


def test_bad_data(digits):
    flat = dataclasses.replace(digits, train=lc.Examples(digits.train.inputs[..., 0], digits.train.targets))
    with pytest.raises(ValueError, match=r"got inputs of shape \(1198, 8, 8\)"):
        prepare(flat)
    with pytest.raises(ValueError, match="need classes"):
        prepare(dataclasses.replace(digits, classes=0))
