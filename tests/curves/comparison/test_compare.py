"""Comparisons of known curves: order, differences, crossings, equivalent data, sentences and messages."""

import dataclasses
import re

import jax
import numpy as np
import pytest

from lcjax.curves.comparison.compare import compare_curves, compare_forecasts
from lcjax.curves.comparison.sentences import _size
from lcjax.curves.forecast.forecast import forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import METRICS
from lcjax.curves.readers.csv import read_curves

KEY = jax.random.key(0)
QUICK = {"chains": 32, "moves": 12}
SIZE = 100.0 * 2.0 ** np.arange(7)
NOISE = np.exp(0.005 * np.random.default_rng(1).normal(size=(5, 7)))
# Two measurements of one curve, one that needs half the data, one that crosses at 800, and one that crosses at 25,600.
ERRORS = {
    "first": SIZE**-0.4,
    "again": SIZE**-0.4,
    "half": (2 * SIZE) ** -0.4,
    "steep": 800.0**-0.4 * (SIZE / 800.0) ** -0.6,
    "late": 25600.0**-0.4 * (SIZE / 25600.0) ** -0.6,
}


def curves(size=SIZE):
    dtype = jax.dtypes.canonicalize_dtype(float)
    values = zip(ERRORS.items(), NOISE, strict=True)
    return {name: LearningCurve(size.astype(dtype), (error * noise).astype(dtype)) for (name, error), noise in values}


@pytest.fixture(scope="module")
def comparison():
    with jax.enable_x64(True):
        both = LearningCurve(SIZE, np.stack(list(ERRORS.values())) * NOISE)
        return compare_forecasts(KEY, forecast(KEY, both, **QUICK), both, names=tuple(ERRORS))


def pick(comparison, places, **options):
    """Compare some of the curves."""
    ahead = jax.tree.map(lambda leaf: leaf[places], comparison.forecast)
    names = [comparison.names[i] for i in places]
    return compare_forecasts(KEY, ahead, LearningCurve(SIZE, comparison.curves.error[places]), names=names, **options)


@pytest.fixture(autouse=True)
def only_x64(x64):
    """The float32 program is tested by one test, which compiles it."""
    if not x64:
        pytest.skip("float32 has a test of its own")


@pytest.mark.slow
def test_identical_curves_have_no_order_and_no_crossing(comparison):
    ahead = comparison.probability_of_order([6400.0, 25600.0, 102400.0])[0, 1]
    assert np.all((ahead > 0.3) & (ahead < 0.7))
    found = comparison.crossings("first", "again")
    assert not found.size.size or np.all(found.probability < 0.6)
    difference = comparison.difference([25600.0])
    assert difference.low[1, 0] < 0 < difference.high[1, 0]


def test_a_shift_by_a_factor_of_two_is_half_the_data(comparison):
    sizes = np.array([800.0, 3200.0, 6400.0, 25600.0])
    ratio = comparison.data_equivalent(sizes, "half")
    low, high = np.asarray(ratio.low) / sizes, np.asarray(ratio.high) / sizes
    assert np.all((low < 0.5) & (high > 0.5))
    np.testing.assert_allclose(ratio.value[:2] / sizes[:2], 0.5, rtol=0.08)
    saved = comparison.examples_saved(sizes[:2], "half")
    np.testing.assert_allclose(saved.value, sizes[:2], rtol=0.2)
    assert np.all(saved.low < sizes[:2])
    assert np.all(saved.high > sizes[:2])


def test_probabilities_are_antisymmetric_and_add_up_to_one(comparison):
    sizes = [400.0, 6400.0, 51200.0]
    order = comparison.probability_of_order(sizes)
    np.testing.assert_allclose(order + order.transpose(1, 0, 2), 1.0, rtol=1e-9)
    np.testing.assert_allclose(comparison.probability_best(sizes).sum(axis=0), 1.0, rtol=1e-9)
    turned = comparison.probability_of_reversal(sizes)
    np.testing.assert_allclose(turned, turned.transpose(1, 0, 2), rtol=1e-9)
    assert np.all(order[..., 2:] >= 0.005)


@pytest.mark.slow
def test_crossings_are_found_inside_and_beyond_the_data(comparison):
    inside, ahead = comparison.crossings("first", "steep"), comparison.crossings("late", "first")
    assert inside.first_better[0]
    assert 0.95 < inside.probability[0] <= 1
    assert inside.low[0] < 800 < inside.high[0]
    assert 700 < inside.size[0] < 900
    assert not ahead.first_better[-1]
    assert ahead.probability[-1] > 0.4
    assert ahead.low[-1] < 25600 < ahead.high[-1]
    assert ahead.start[-1] >= 6400 * (1 - 1e-9)
    assert comparison.order_now()[0, 3] == -1
    assert comparison.probability_of_reversal([102400.0])[0, 4, 0] > 0.5
    assert comparison.probability_of_reversal([102400.0])[0, 2, 0] < 0.1


def test_differences_are_those_of_the_curves(comparison):
    difference = comparison.difference(SIZE)
    truth = np.stack(list(ERRORS.values())) - ERRORS["first"]
    inside = (difference.low - 1e-4 <= truth) & (truth <= difference.high + 1e-4)
    assert np.mean(inside) > 0.9
    np.testing.assert_allclose(difference.value[0], 0.0, atol=1e-12)


@pytest.mark.slow
def test_sizes_for_an_error_and_what_a_curve_saves(comparison):
    comparison = pick(comparison, [0, 2])
    error = 1600.0**-0.4
    answer = comparison.sizes_for_error(error)
    np.testing.assert_allclose(answer.value, [1600.0, 800.0], rtol=0.1)
    saved = comparison.saving(error, "half")
    assert saved.low < 800 < saved.high
    fewer = comparison.probability_of_fewer(error)
    assert fewer[1, 0] > 0.95
    np.testing.assert_allclose(fewer + fewer.T, 1.0)
    assert np.isnan(comparison.saving(1e-9, "half").value)
    with pytest.raises(ValueError, match="A target must be a positive number, got -1"):
        comparison.saving(-1.0, "half")


@pytest.mark.slow
def test_a_swap_of_the_curves_changes_little(comparison):
    sizes = [6400.0, 25600.0, 102400.0]
    one, two = (pick(comparison, places).probability_of_order(sizes) for places in ([4, 0], [0, 4]))
    np.testing.assert_allclose(one[0, 1], two[1, 0], atol=0.03)


@pytest.mark.slow
def test_sentences_name_the_curves_and_the_sizes(comparison):
    text = " ".join(pick(comparison, [0, 2, 3]).sentences(51200.0, metric=METRICS["accuracy"], unit="tokens"))
    assert str(pick(comparison, [0, 2, 3])).startswith("Probability of being the best at 102,000 examples: ")
    assert str(pick(comparison, [0, 2])).startswith(
        'At 6,400 examples, the error of "half" minus that of "first" is -0.0'
    )
    for part in (
        'At 6,400 tokens, the accuracy of "half" minus that of "first" is +0.0',
        'At 51,200 tokens, "half" is better than "first" with a probability of',
        '"steep" overtakes "first" between',
        ', "half" equals "first" at 6,400 tokens',
        "further tokens",
        "Probability of being the best at 51,200 tokens: ",
    ):
        assert part in text


@pytest.mark.slow
def test_sentences_have_whole_examples_and_values_of_the_metric(comparison):
    two = pick(comparison, [0, 2])
    now, *_, worth = two.sentences(51200.0, metric=METRICS["rmse"])
    difference = (2 * SIZE[-1]) ** -0.2 - SIZE[-1] ** -0.2
    assert float(re.search(r'rmse of "half" minus that of "first" is (\S+) ', now)[1]) == pytest.approx(
        difference, rel=0.1
    )
    assert re.search(r"worth [\d,]+ further examples \(90 % interval [\d,]+ to [\d,]+\)\.$", worth)
    few = dataclasses.replace(two, curves=dataclasses.replace(two.curves, size=SIZE + 0.5))
    assert [_size(one, 46.6) for one in (two, few)] == ["47", "46.6"]


@pytest.mark.slow
def test_equal_repeats_are_paired(comparison):
    repeats = np.stack([ERRORS["first"] * (1 + 0.02 * shift) for shift in (-1, 0, 1)])
    both = LearningCurve(
        SIZE, np.stack([ERRORS["first"], ERRORS["half"]]), replicates=np.stack([repeats, repeats * 2**-0.4])
    )
    ahead = jax.tree.map(lambda leaf: leaf[[0, 2]], comparison.forecast)
    wide, narrow = (compare_forecasts(KEY, ahead, both, names="ab", paired=paired) for paired in (False, True))
    assert narrow.measured.paired
    assert np.all(narrow.measured.high - narrow.measured.low <= wide.measured.high - wide.measured.low)
    assert narrow.correlation[0, 1] > wide.correlation[0, 1]
    assert "3 pairs of repeats" in narrow.sentences()[0]
    assert "6 unpaired repeats" in wide.sentences()[0]


@pytest.mark.slow
def test_independent_forecasts_are_neither_correlated_nor_pooled(comparison):
    alone, together = pick(comparison, [0, 1], dependent=False), pick(comparison, [0, 1])
    assert np.array_equal(alone.correlation, np.eye(2))
    assert not alone.pooling.any()
    width = [np.ptp(np.quantile(np.subtract(*c.draws([25600.0])[..., 0]), [0.05, 0.95])) for c in (alone, together)]
    assert width[1] < 0.8 * width[0]


@pytest.mark.slow
def test_float32_gives_the_same_answers(comparison):
    with jax.enable_x64(False):
        single = compare_curves(KEY, {name: curves()[name] for name in ("first", "half")}, draws=256)
        assert single.draws([6400.0]).dtype == np.float32
        assert single.weight.dtype == np.float32
        ratio = single.data_equivalent([3200.0], "half").value[0] / 3200
    assert ratio == pytest.approx(0.5, rel=0.1)


def test_wrong_curves_and_sizes_are_refused(comparison):
    first = LearningCurve(SIZE, ERRORS["first"])
    percent = LearningCurve(SIZE, 100 * ERRORS["first"])
    away = LearningCurve(SIZE * 1000, ERRORS["first"])
    for given, message in (
        ({"a": first}, "at least two curves, got 1"),
        ({f"{i}": first for i in range(65)}, "At most 64 curves are compared at once, got 65"),
        ({"a": first, "b": percent}, r"errors of 'b' \(median 6.9\) .* look like percentages and fractions"),
        ({"a": first, "b": away}, r"'a' \(100 to 6400\) and 'b' \(100000 to 6.4e\+06\) have no sizes in common"),
        ({"a": first, "b": LearningCurve(SIZE[:1], SIZE[:1] ** -0.4)}, "'b' has one size"),
    ):
        with pytest.raises(ValueError, match=message):
            compare_curves(KEY, given)
    with pytest.raises(ValueError, match="There is no curve 'c' to be the baseline; the curves are a, b"):
        compare_curves(KEY, {"a": first, "b": first}, baseline="c")
    with pytest.raises(ValueError, match=r"level is a probability between 0 and 1, got 1\.5"):
        compare_curves(KEY, {"a": first, "b": first}, level=1.5)
    with pytest.raises(ValueError, match="from size 100 on, the largest of their smallest measured sizes; got 50"):
        comparison.difference([50.0])
    with pytest.raises(ValueError, match="There is no curve 'none'; the curves are first, again"):
        comparison.crossings("none", "first")
    with pytest.raises(ValueError, match=r"must lie above 100 and at most at 6\.4e\+09, got 50"):
        comparison.crossings("first", "half", end=50.0)
    with pytest.raises(ValueError, match="A range begins at 100 or later"):
        comparison.crossing_draws("first", "half", start=200.0, end=150.0)


@pytest.mark.acceptance
def test_crossings_of_known_power_laws_are_covered():
    """Of power laws with noise that cross at 1 to 6 times the data, nine intervals in ten contain the crossing."""
    rng = np.random.default_rng(0)
    pairs = 60
    at = SIZE[-1] * 2.0 ** rng.uniform(0.0, 2.6, pairs)
    shallow, gap = rng.uniform(0.2, 0.4, pairs), rng.uniform(0.15, 0.35, pairs)
    level = rng.uniform(0.05, 0.2, pairs)
    exponents = np.stack([shallow, shallow + gap], axis=1)
    error = level[:, None, None] * (SIZE / at[:, None, None]) ** -exponents[..., None]
    error = error * np.exp(0.01 * rng.normal(size=error.shape))
    ahead = forecast(KEY, LearningCurve(SIZE, error.reshape(-1, len(SIZE))), **QUICK)
    inside, never = [], []
    for i in range(pairs):
        own = jax.tree.map(lambda leaf, i=i: leaf[2 * i : 2 * i + 2], ahead)
        both = compare_forecasts(jax.random.key(i), own, LearningCurve(SIZE, error[i]), names="ab")
        sizes = both.crossing_draws("a", "b", start=SIZE[-1], end=16 * SIZE[-1])
        crossing = sizes[np.isfinite(sizes)]
        low, high = np.quantile(crossing, [0.05, 0.95])
        inside.append(low <= at[i] <= high)
        never.append(1 - crossing.size / sizes.size)
    print(f"coverage {np.mean(inside):.3f}, mean probability of no crossing {np.mean(never):.3f}")
    assert 0.8 < np.mean(inside) <= 1.0  # 0.9 with a standard error of 0.04


def test_collections_of_different_metrics_are_not_compared():
    first = {"size": [100, 200, 400], "accuracy": [0.6, 0.7, 0.8]}
    second = {"size": [100, 200, 400], "auroc": [0.6, 0.7, 0.8]}
    tables = {"a": read_curves(first), "b": read_curves(second)}
    with pytest.raises(ValueError, match="different metrics: accuracy of 'a', auroc of 'b'"):
        compare_curves(KEY, tables)


@pytest.mark.slow
def test_tables_are_compared_in_their_metric():
    both = {"size": SIZE, "accuracy of a": 1 - SIZE**-0.4 * NOISE[0], "accuracy of b": 1 - SIZE**-0.3 * NOISE[1]}
    table = read_curves(both, METRICS["accuracy"])
    found = compare_curves(KEY, table, draws=64)
    assert found.metric.name == "accuracy"
    assert "the accuracy of" in str(found)
