import jax
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

from lcjax.complexity.filters import _gabor_bank, gabor_features, random_filter_gram, random_filters
from lcjax.complexity.interpolation import gram_interpolation

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, size=(9, 14, 13, 3)).astype(np.uint8)


def test_gabor_features_match_scipy():
    found = np.asarray(gabor_features(IMAGES, wavelengths=(4.0,), orientations=3, pool=4, batch=4))
    bank = _gabor_bank((4.0,), 3)
    assert found.shape == (9, 3 * 3 * 3 * 3)
    image = IMAGES[5, :, :, 1].astype(float)
    answers = [scipy.signal.correlate2d(image, bank[:, :, i], mode="same") for i in range(6)]
    magnitude = np.sqrt(np.array(answers[::2]) ** 2 + np.array(answers[1::2]) ** 2)
    expected = magnitude[:, :12, :12].reshape(3, 3, 4, 3, 4).mean(axis=(2, 4)).transpose(1, 2, 0).ravel()
    np.testing.assert_allclose(found[5].reshape(3, -1)[1], expected, rtol=1e-4, atol=1e-2)


def test_gabor_filters_ignore_brightness_and_answer_to_their_direction():
    bank = _gabor_bank((4.0, 8.0), 4)
    np.testing.assert_allclose(bank.sum(axis=(0, 1)), 0, atol=1e-12)
    stripes = np.tile(np.sin(2 * np.pi * np.arange(32) / 4), (32, 1))[None, :, :, None].astype(np.float32)
    answer = np.asarray(gabor_features(stripes, wavelengths=(4.0, 8.0), orientations=4)).reshape(8, 8, 8)[2:-2, 2:-2]
    assert np.all(answer.argmax(axis=2) == 0)  # shortest wavelength, first direction


def test_random_filter_products_match_numpy():
    filters = random_filters(jax.random.key(0), IMAGES, 5, side=4, patches=300)
    gram = np.asarray(random_filter_gram(filters, IMAGES[:4], IMAGES, filters_at_once=2, batch=3))
    kernel, bias, floor = (np.asarray(value, float) for value in (filters.kernel, filters.bias, filters.floor))

    def features(image):
        windows = np.lib.stride_tricks.sliding_window_view(image.astype(float), (4, 4), axis=(0, 1))
        patches = windows.transpose(0, 1, 3, 4, 2).reshape(*windows.shape[:2], -1)
        patches = patches - patches.mean(axis=2, keepdims=True)
        patches /= np.sqrt(np.mean(patches**2, axis=2, keepdims=True) + floor)
        answer = patches @ kernel.reshape(-1, 5) + bias
        both = np.concatenate([np.maximum(answer - 0.25, 0), np.maximum(-answer - 0.25, 0)], axis=2)
        h, w = both.shape[0] // 2, both.shape[1] // 2
        quarters = (both[:h, :w], both[:h, w:], both[h:, :w], both[h:, w:])
        return np.concatenate([part.mean(axis=(0, 1)) for part in quarters])

    values = np.stack([features(image) for image in IMAGES])
    np.testing.assert_allclose(gram, values[:4] @ values.T / 5, rtol=2e-3)
    np.testing.assert_allclose(random_filter_gram(filters, IMAGES), values @ values.T / 5, rtol=2e-3)


def test_patches_are_whitened():
    smooth = scipy.ndimage.gaussian_filter(RNG.normal(size=(60, 12, 12, 1)), (0, 1, 1, 0)).astype(np.float32)
    filters = random_filters(jax.random.key(0), smooth, 2000, side=3, patches=5000)
    assert filters.kernel.shape == (3, 3, 1, 2000)
    pixels = np.asarray(filters.kernel).reshape(9, -1)
    raw = np.lib.stride_tricks.sliding_window_view(smooth[..., 0], (3, 3), axis=(1, 2)).reshape(-1, 9)
    assert np.abs(np.corrcoef(pixels) - np.eye(9)).mean() < np.abs(np.corrcoef(raw.T) - np.eye(9)).mean() / 2


def test_interpolation_of_a_stored_matrix():
    factor, targets = RNG.normal(size=(12, 20)), RNG.normal(size=(12, 3))
    gram = factor @ factor.T
    with jax.enable_x64(True):
        alpha, norm = gram_interpolation(gram, targets, ridge=0.5)
        expected = np.linalg.solve(gram + 0.5 * np.eye(12), targets)
        np.testing.assert_allclose(alpha, expected, rtol=1e-8)
        np.testing.assert_allclose(norm, np.sqrt(np.trace(expected.T @ gram @ expected)), rtol=1e-8)
    with pytest.raises(ValueError, match="12 points is singular in float32"):
        gram_interpolation((factor[:, :3] @ factor[:, :3].T).astype(np.float32) - np.eye(12, dtype=np.float32), targets)


def test_bad_input():
    filters = random_filters(jax.random.key(0), IMAGES, 2, patches=100)
    for function in (
        gabor_features,
        lambda images: random_filters(jax.random.key(0), images, 2),
        lambda images: random_filter_gram(filters, images),
    ):
        with pytest.raises(ValueError, match=r"channels\), got \(9, 14, 13\)"):
            function(IMAGES[..., 0])
    with pytest.raises(ValueError, match="20 pixels do not fit into images of 14x13"):
        gabor_features(IMAGES, pool=20)
    with pytest.raises(ValueError, match="count=2 patches of 15x15 pixels cannot be cut from images of 14x13"):
        random_filters(jax.random.key(0), IMAGES, 2, side=15)
