"""Random transformations of images: invariants and distributions."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.records import canonical_hash
from lcjax.training import Budget, Runs
from lcjax.training.augmentation import Brightness, Composed, Contrast, Crop, Lighting, Saturation, flip

IMAGES = np.random.default_rng(0).random((400, 5, 6, 3)).astype(np.float32)
LUMA = np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize("change", [Crop(2), flip, Brightness(), Contrast(), Saturation(), Lighting()])
def test_shape_dtype_and_randomness(change, key):
    changed = np.asarray(jax.jit(change)(key, IMAGES))
    assert changed.shape == IMAGES.shape
    assert changed.dtype == np.float32
    np.testing.assert_array_equal(changed, np.asarray(jax.jit(change)(key, IMAGES)))
    assert not np.array_equal(changed, change(jax.random.key(99), IMAGES))


def test_crops_are_windows_and_each_place_is_as_likely(key):
    padded = np.pad(IMAGES, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=7)
    crops = np.asarray(Crop(1, fill=7.0)(key, IMAGES))
    places = []
    for image, crop in zip(padded, crops, strict=True):
        found = [(i, j) for i in range(3) for j in range(3) if np.array_equal(image[i : i + 5, j : j + 6], crop)]
        assert len(found) == 1
        places += found
    counts = np.unique(places, axis=0, return_counts=True)[1]
    assert len(counts) == 9
    assert np.abs(counts - 400 / 9).max() < 5 * np.sqrt(400 / 9)


def test_flips_are_mirror_images_or_nothing(key):
    flipped = np.asarray(flip(key, IMAGES))
    mirrored = (flipped == IMAGES[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (mirrored | (flipped == IMAGES).all(axis=(1, 2, 3))).all()
    assert abs(mirrored.mean() - 0.5) < 5 * 0.5 / 20


def test_colours_move_about_their_centre(key):
    grey = (IMAGES @ LUMA)[..., None]
    for change, centre in (
        (Brightness(0.3, black=-1.0), np.full((400, 1, 1, 1), -1.0)),
        (Contrast(0.3), grey.mean(axis=(1, 2), keepdims=True)),
        (Saturation(0.3), grey),
    ):
        changed = np.asarray(change(key, IMAGES))
        factor = ((changed - centre) * (IMAGES - centre)).sum(axis=(1, 2, 3))
        factor /= ((IMAGES - centre) ** 2).sum(axis=(1, 2, 3))
        expected = centre + factor[:, None, None, None] * (IMAGES - centre)
        np.testing.assert_allclose(changed, expected, atol=1e-5)
        assert 0.7 <= factor.min() < 0.75
        assert 1.25 < factor.max() <= 1.3
        assert abs(factor.mean() - 1) < 5 * 0.6 / np.sqrt(12 * 400)


def test_lighting_shifts_whole_images_along_the_components(key):
    shift = np.asarray(Lighting(0.1, scale=2.0)(key, IMAGES)) - IMAGES
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1, :1], shift.shape), atol=1e-6)
    spread = np.linalg.svd(shift[:, 0, 0], compute_uv=False) / 20
    np.testing.assert_allclose(spread, 0.2 * np.array([0.2175, 0.0188, 0.0045]), rtol=0.2)
    with pytest.raises(ValueError, match="three channels, got 1"):
        Lighting()(key, IMAGES[..., :1])


def test_no_strength_is_no_change(key):
    nothing = Composed((Crop(0), Brightness(0.0), Contrast(0.0), Saturation(0.0), Lighting(0.0)))
    np.testing.assert_allclose(nothing(key, IMAGES), IMAGES, atol=1e-6)


def test_the_changes_of_a_composition_are_independent(key):
    both = np.asarray(Composed((flip, flip))(key, IMAGES))
    assert 0.3 < (both == IMAGES).all(axis=(1, 2, 3)).mean() < 0.7


def test_a_sweep_augments_its_training_images(key):
    images = lc.Examples(np.asarray(IMAGES[:60] * 255, np.uint8), (np.arange(60) % 3).astype(np.int32))
    data = lc.Data(images, images, images, scale=1 / 255, classes=3)
    augment = Composed((Crop(1), flip, Brightness(0.2), Contrast(0.2), Saturation(0.2), Lighting()))
    from lcjax.training import constant, with_replacement

    plain = lc.Program(
        lc.models.MLP((6,), 3), lc.cross_entropy, optax.sgd, constant, 16, Budget(steps=3), with_replacement
    )
    program = dataclasses.replace(plain, augment=augment)
    columns = {"size": np.full(2, 60), "seed": np.arange(2), "learning_rate": np.full(2, 0.1)}
    results = [
        lc.sweep(key, data, Runs((p,), np.zeros(2, int), columns), keep=np.ones(2, bool)) for p in (plain, program)
    ]
    kernels = [result.params[0]["params"]["head"]["kernel"] for result in results]
    assert not np.allclose(*kernels, atol=1e-6)
    assert canonical_hash(program) != canonical_hash(dataclasses.replace(program, augment=Composed((Crop(2),))))
