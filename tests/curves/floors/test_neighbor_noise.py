"""Label noise from neighbors, against labels that were flipped on purpose."""

import numpy as np
import pytest

from lcjax.curves.floors.neighbor_noise import NEIGHBORS, SHARE, neighbor_noise, neighbor_noise_floor


def task(seed, n, d, flipped):
    """Return uniform points of two classes with a plane between them, and a share of the labels flipped."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(size=(n, d))
    return points, ((points[:, 0] > 0.5) ^ (rng.random(n) < flipped)).astype(int)


def test_the_disagreement_is_that_of_random_subsets():
    points, labels = task(0, 400, 2, 0.1)
    noise = neighbor_noise(points, labels)
    distance = np.linalg.norm(points[:, None] - points, axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert noise.disagreement[1] == pytest.approx(np.mean(labels[np.argmin(distance, axis=1)] != labels))
    rng, shares = np.random.default_rng(1), []
    for _ in range(400):
        member = rng.random(400) < SHARE
        nearest = np.argmin(np.where(member, distance, np.inf), axis=1)
        shares.append(np.mean(labels[nearest] != labels))
    error = np.std(shares) / np.sqrt(len(shares))
    assert noise.disagreement[0] == pytest.approx(np.mean(shares), abs=5 * error + (1 - SHARE) ** NEIGHBORS)
    np.testing.assert_allclose(noise.size, [50, 400])


@pytest.mark.parametrize(("d", "flipped"), [(2, 0.0), (2, 0.2), (5, 0.1)])
def test_flipped_labels_are_counted_and_boundaries_are_not(d, flipped):
    truth = 2 * flipped * (1 - flipped)
    for seed in range(3):
        points, labels = task(seed, 1500, d, flipped)
        noise, floor = neighbor_noise(points, labels), neighbor_noise_floor(points, labels, classes=2)
        assert abs(noise.limit - truth) < 4 * noise.standard_error + 0.01
        assert noise.dimension == pytest.approx(d, rel=0.15)
        assert floor.low <= flipped + 0.01
        assert floor.high >= flipped


def test_the_answer_does_not_depend_on_order_or_unit():
    points, labels = task(0, 300, 3, 0.1)
    order = np.random.default_rng(2).permutation(300)
    expected, actual = neighbor_noise(points, labels), neighbor_noise(1e3 * points[order], labels[order] + 4)
    for name in ("disagreement", "dimension", "limit", "standard_error"):
        np.testing.assert_allclose(getattr(actual, name), getattr(expected, name), rtol=1e-6)


def test_wrong_arguments_raise():
    points, labels = task(0, 80, 2, 0.1)
    with pytest.raises(ValueError, match=r"80 points and labels of shape \(79,\)"):
        neighbor_noise(points, labels[:-1])
    with pytest.raises(ValueError, match="at least 64 points, got 63"):
        neighbor_noise(points[:63], labels[:63])
    with pytest.raises(ValueError, match="must be positive, got 0"):
        neighbor_noise(points, labels, dimension=0.0)
