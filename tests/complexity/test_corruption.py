import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from lcjax.complexity.corruption import corrupt_labels, gaussian_pixels, permutation, random_pixels, shuffle_pixels

N, CLASSES = 2000, 10
LABELS = np.repeat(np.arange(CLASSES, dtype=np.int32), N // CLASSES)
IMAGES = np.random.default_rng(0).integers(0, 256, size=(40, 6, 5, 3)).astype(np.uint8)
SEEDS = st.integers(0, 2**32 - 1)


def pixels(images):
    """Sort the pixels of each image, which a permutation of pixels leaves unchanged."""
    flat = np.asarray(images).reshape(len(images), -1, images.shape[-1])
    return np.stack([rows[np.lexsort(rows.T)] for rows in flat])


@pytest.mark.usefixtures("x64")
@given(seed=SEEDS, probability=st.floats(0, 1))
def test_corruption_keeps_the_histogram_in_expectation_and_changes_the_share_it_must(seed, probability):
    noisy = np.asarray(corrupt_labels(jax.random.key(seed), LABELS, CLASSES, probability))
    assert noisy.dtype == LABELS.dtype
    assert noisy.min() >= 0
    assert noisy.max() < CLASSES
    share = probability * (1 - 1 / CLASSES)
    # Bernstein's tail of a sum of 0 and 1 with variance v: beyond 7 sqrt(v) + 16 with probability below 1e-10.
    assert abs(np.sum(noisy != LABELS) - N * share) <= 7 * np.sqrt(N * share * (1 - share)) + 16
    # A class keeps Binomial(200, 1 - p + p / 10) of its own examples and gets Binomial(1800, p / 10) from the others.
    stay, come = 1 - share, probability / CLASSES
    variance = 200 * stay * (1 - stay) + 1800 * come * (1 - come)
    assert np.abs(np.bincount(noisy, minlength=CLASSES) - 200).max() <= 7 * np.sqrt(variance) + 16


@given(seed=SEEDS, low=st.floats(0, 1), high=st.floats(0, 1))
def test_corrupted_labels_nest_in_the_probability(seed, low, high):
    low, high = min(low, high), max(low, high)
    few = np.asarray(corrupt_labels(jax.random.key(seed), LABELS, CLASSES, low))
    many = np.asarray(corrupt_labels(jax.random.key(seed), LABELS, CLASSES, high))
    changed = few != LABELS
    np.testing.assert_array_equal(many[changed], few[changed])


@given(seed=SEEDS)
def test_no_corruption_is_the_identity_and_all_is_uniform(seed):
    key = jax.random.key(seed)
    np.testing.assert_array_equal(corrupt_labels(key, LABELS, CLASSES, 0.0), LABELS)
    table = np.zeros((CLASSES, CLASSES))
    np.add.at(table, (LABELS, np.asarray(corrupt_labels(key, LABELS, CLASSES, 1.0))), 1)
    assert scipy.stats.chisquare(table.ravel(), np.full(CLASSES**2, N / CLASSES**2)).pvalue > 1e-9


@pytest.mark.usefixtures("x64")
@given(seed=SEEDS)
def test_shuffled_pixels_share_one_permutation(seed):
    shuffled = np.asarray(shuffle_pixels(jax.random.key(seed), IMAGES))
    assert shuffled.dtype == IMAGES.dtype
    np.testing.assert_array_equal(pixels(shuffled), pixels(IMAGES))
    # Numbered pixels show the permutation itself: the same for all images and channels.
    numbered = np.broadcast_to(np.arange(30).reshape(1, 6, 5, 1), IMAGES.shape)
    order = np.asarray(shuffle_pixels(jax.random.key(seed), numbered)).reshape(40, 30, 3)
    assert np.all(order == order[:1, :, :1])
    np.testing.assert_array_equal(shuffled.reshape(40, 30, 3), IMAGES.reshape(40, 30, 3)[:, order[0, :, 0]])


@pytest.mark.usefixtures("x64")
@given(seed=SEEDS)
def test_random_pixels_have_a_permutation_each(seed):
    np.testing.assert_array_equal(pixels(random_pixels(jax.random.key(seed), IMAGES)), pixels(IMAGES))
    numbered = np.broadcast_to(np.arange(30).reshape(1, 6, 5, 1), IMAGES.shape)
    order = np.asarray(random_pixels(jax.random.key(seed), numbered)).reshape(40, 30, 3)
    assert np.all(order == order[:, :, :1])
    assert len(np.unique(order[:, :, 0], axis=0)) == 40


@given(seed=SEEDS)
def test_gaussian_pixels_have_the_moments_of_the_data(seed):
    images = IMAGES * np.array([1, 0.5, 0.1], np.float32) + np.array([0, 10, -5], np.float32)
    noise = np.asarray(gaussian_pixels(jax.random.key(seed), np.repeat(images, 5, axis=0)))
    assert noise.dtype == np.float32
    count = noise[..., 0].size
    deviation = images.std(axis=(0, 1, 2))
    assert np.all(np.abs(noise.mean(axis=(0, 1, 2)) - images.mean(axis=(0, 1, 2))) < 6 * deviation / np.sqrt(count))
    assert np.all(np.abs(noise.std(axis=(0, 1, 2)) / deviation - 1) < 6 / np.sqrt(2 * count))
    standard = ((noise - images.mean(axis=(0, 1, 2))) / deviation).reshape(len(noise), -1)
    assert scipy.stats.kstest(standard.ravel(), "norm").pvalue > 1e-9
    neighbors = np.corrcoef(standard[:-1].ravel(), standard[1:].ravel())[0, 1]  # images are independent
    assert abs(neighbors) < 6 / np.sqrt(standard.size)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@given(seed=SEEDS, some=st.lists(st.integers(0, 39), min_size=4, max_size=4))
def test_gathering_first_gives_the_same(dtype, seed, some):
    key, index, images = jax.random.key(seed), np.asarray(some), IMAGES.astype(dtype)
    labels = LABELS[:40]
    np.testing.assert_array_equal(
        corrupt_labels(key, labels[index], CLASSES, 0.7, index=index),
        np.asarray(corrupt_labels(key, labels, CLASSES, 0.7))[index],
    )
    np.testing.assert_array_equal(
        random_pixels(key, images[index], index=index), np.asarray(random_pixels(key, images))[index]
    )
    moments = {"mean": images.mean(axis=(0, 1, 2)), "standard_deviation": images.std(axis=(0, 1, 2))}
    np.testing.assert_array_equal(
        gaussian_pixels(key, images[index], index=index, **moments),
        np.asarray(gaussian_pixels(key, images, **moments))[index],
    )


def test_only_the_key_decides_and_runs_can_be_vectorized():
    keys, p = jax.random.split(jax.random.key(3), 4), jnp.array([0.0, 0.3, 0.9, 1.0])
    both = jax.vmap(lambda k, q: (corrupt_labels(k, LABELS, CLASSES, q), random_pixels(k, IMAGES)))(keys, p)
    for i in range(4):
        np.testing.assert_array_equal(both[0][i], corrupt_labels(keys[i], LABELS, CLASSES, p[i]))
        np.testing.assert_array_equal(both[1][i], random_pixels(keys[i], IMAGES))
        np.testing.assert_array_equal(shuffle_pixels(keys[i], IMAGES), shuffle_pixels(keys[i], IMAGES))
    assert np.any(np.asarray(both[1][0]) != np.asarray(both[1][1]))
    with jax.enable_x64(True):
        wide = corrupt_labels(jax.random.key(7), LABELS, CLASSES, 0.5)
    np.testing.assert_array_equal(wide, corrupt_labels(jax.random.key(7), LABELS, CLASSES, 0.5))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_permutations_are_uniform(count):
    draws = 6000
    orders = np.asarray(jax.vmap(lambda k: permutation(k, count))(jax.random.split(jax.random.key(0), draws)))
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.broadcast_to(np.arange(count), orders.shape))
    found, times = np.unique(orders, axis=0, return_counts=True)
    possible = [2, 6, 120][[2, 3, 5].index(count)]
    assert len(found) == possible
    assert scipy.stats.chisquare(times, np.full(possible, draws / possible)).pvalue > 1e-4


@pytest.mark.parametrize("count", [1, 4096, 5000])
def test_permutations_of_many_numbers(count):
    order = np.asarray(permutation(jax.random.key(1), count))
    np.testing.assert_array_equal(np.sort(order), np.arange(count))
    if count > 1:
        assert abs(np.corrcoef(order, np.arange(count))[0, 1]) < 5 / np.sqrt(count)


def test_bad_input():
    key = jax.random.key(0)
    for probability in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=f"in \\[0, 1\\], got {probability}"):
            corrupt_labels(key, LABELS, CLASSES, probability)
    with pytest.raises(ValueError, match="classes=1"):
        corrupt_labels(key, LABELS, 1, 0.5)
    for function in (shuffle_pixels, random_pixels, gaussian_pixels):
        with pytest.raises(ValueError, match=r"channels\), got \(40, 6, 5\)"):
            function(key, IMAGES[..., 0])
    for function in (random_pixels, gaussian_pixels):
        with pytest.raises(ValueError, match=r"each of 40 examples, got shape \(3,\)"):
            function(key, IMAGES, index=np.arange(3))
    with pytest.raises(ValueError, match=r"2000 examples, got shape \(3,\)"):
        corrupt_labels(key, LABELS, CLASSES, 0.5, index=np.arange(3))
