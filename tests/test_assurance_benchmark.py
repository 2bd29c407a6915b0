"""The benchmark of assured sizes on synthetic errors, whose shares are known."""

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from benchmarks.assurance.__main__ import choose_targets, round_numbers, summarize
from benchmarks.assurance.evaluation_sets import MARGINS, check_margin
from benchmarks.assurance.report import draw_figure
from benchmarks.assurance.trainings import SETS
from benchmarks.assurance.truth import fit_truth, mean_share, resample

SIZE = np.geomspace(200, 6400, 10)
SPREAD, FRESH = 0.1, 200


def center(size):
    return np.log(2.0) - 0.4 * np.log(size)


def spread(size):
    return SPREAD * (size / SIZE[0]) ** -0.2


@pytest.fixture(scope="module")
def truth():
    noise = np.random.default_rng(0).normal(size=(FRESH, len(SIZE)))
    return fit_truth(SIZE, np.exp(center(SIZE) + spread(SIZE) * noise))


def test_share_and_its_size_are_those_of_the_distribution(truth):
    size = np.geomspace(300, 5000, 7)
    for share in (0.2, 0.5, 0.8):
        target = np.exp(center(size) + spread(size) * ndtri(share))
        np.testing.assert_allclose(truth.share(size, target), share, atol=0.06)
        np.testing.assert_allclose(truth.rough_share(size, target), share, atol=0.12)
        np.testing.assert_allclose(np.log(truth.size_for_share(target, share) / size), 0, atol=0.06)
    assert np.isnan(truth.share(np.array(np.inf), np.array(0.1)))
    assert np.isnan(truth.size_for_share(np.array([1e-3, 10.0]), 0.8)).all()


def test_mean_share_of_exact_answers_is_80_percent_and_spread_lowers_it(truth):
    rng = np.random.default_rng(1)
    size = np.geomspace(400, 4000, 60).reshape(20, 3)
    target = np.exp(center(size) + spread(size) * ndtri(0.8))
    samples = [resample(truth, 100)]
    exact = mean_share([size], [target], [truth], samples)
    assert exact.low <= 0.8 <= exact.high
    assert abs(exact.value - 0.8) < 5 * exact.truth_error < 0.15
    assert (exact.answers, exact.infinite, exact.outside) == (60, 0, 0)
    off = target * np.exp(spread(size) * rng.normal(size=size.shape))  # curves with an error of one deviation
    uncertain = mean_share([size], [off], [truth], samples)
    assert abs(uncertain.value - ndtr(ndtri(0.8) / np.sqrt(2))) < 0.1
    assert uncertain.spread > exact.spread
    size[0, 0], size[1, 0] = np.inf, 1e5
    partial = mean_share([size], [target], [truth], samples)
    assert (partial.answers, partial.infinite, partial.outside) == (59, 1, 1)


def test_summary_and_figure(truth, tmp_path):
    size = np.geomspace(400, 4000, 20).reshape(5, 4)
    target = np.exp(center(size) + spread(size) * ndtri(0.8))
    shares = round_numbers(summarize([{"assured": (size, target)}], [truth]))
    assert all(0.6 < shares["assured"][group]["value"] < 0.95 for group in ("inside", "beyond"))
    draw_figure({"synthetic": (truth, size, target)}, tmp_path / "assurance.png")
    assert (tmp_path / "assurance.png").stat().st_size > 1000


def test_targets_follow_from_the_measured_errors_alone():
    target = choose_targets(np.array([[0.4, 0.3, 0.2, 0.1, 0.05, 0.06]]))
    np.testing.assert_allclose(target, [[*np.sqrt([0.2 * 0.1, 0.1 * 0.05, 0.05 * 0.06]), 0.85 * 0.05]])
    assert all(design.truth[0] == design.sizes[2] for design in SETS.values())


@pytest.mark.parametrize("margin", MARGINS)
def test_number_of_test_examples_keeps_level_and_power(margin):
    found = check_margin(np.array([300, 800, 1500]), 10_000, margin, draws=500)
    assert found.least > 0.8 - 0.002
    assert found.most <= 0.05
    assert abs(found.better - found.least) < 0.1
    assert found.equal < 0.05 + 2 * found.equal_error
    assert found.replaced[0] == (0 if margin > 0.1 else 3)
