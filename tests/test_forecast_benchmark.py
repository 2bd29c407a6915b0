"""The comparison of forecasters: scoring rules against closed forms, cuts, bins, and the command on a small file."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import scipy.stats

from benchmarks.forecast import dimension, fine_tuning
from benchmarks.forecast.__main__ import main
from benchmarks.forecast.cases import FACTORS, factor_bins, make_cases
from benchmarks.forecast.comparison import clustered_mean, compare, groups, paired
from benchmarks.forecast.methods import FormFit, LastValue, find_method
from benchmarks.forecast.predictive import StudentMixture
from benchmarks.forecast.rules import crps_of_draws, interval_score, outside, rounded_log_density
from benchmarks.forecast.scoring import METRICS, Scores, score
from benchmarks.forecast.sources import FAMILIES, read_cases, sample_rows, select_cuts
from lcjax.curves.forms import power_law

HEADING = "Domain,Task,Model,Seen Examples,Loss,Training\n"


def column(name):
    return METRICS.index(name)


def normal_crps(value, mean, scale):
    """Gneiting and Raftery (2007), Eq. (20)."""
    z = (value - mean) / scale
    density, distribution = scipy.stats.norm.pdf(z), scipy.stats.norm.cdf(z)
    return scale * (z * (2 * distribution - 1) + 2 * density - 1 / np.sqrt(np.pi))


@pytest.fixture
def cases():
    """Power laws of two data sets, four sizes to fit and up to four held out, one of them 0."""
    size = 100.0 * 2.0 ** np.arange(8)
    rng = np.random.default_rng(0)
    error = np.stack([c * size**-0.4 * np.exp(0.02 * rng.normal(size=8)) for c in (1.0, 1.5, 2.0)])
    error[1, 6], error[2, 7] = np.nan, 0.0
    cut = np.full(3, size[3])
    return make_cases(size, error, cut, cluster=["a", "a", "b"], family=["linear", "neural", "linear"])


# Scoring rules


def test_crps_of_normal_draws():
    draws = 0.3 + 2.0 * scipy.stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    value = np.array([-3.0, 0.0, 0.3, 5.0])
    actual = crps_of_draws(np.tile(draws[:, None], 4), value)
    np.testing.assert_allclose(actual, normal_crps(value, 0.3, 2.0), rtol=2e-3)


def test_crps_of_one_draw_is_the_absolute_error():
    np.testing.assert_allclose(crps_of_draws(np.array([[1.0, -2.0]]), np.array([0.5, 0.5])), [0.5, 2.5])


def test_interval_score_is_width_plus_penalty():
    error = np.exp([0.0, 1.5, -1.2])
    actual = interval_score(np.full(3, -1.0), np.full(3, 1.0), error, level=0.9)
    np.testing.assert_allclose(actual, [2.0, 2.0 + 20 * 0.5, 2.0 + 20 * 0.2])


def test_points_within_half_a_step_are_inside():
    error = np.array([0.0100, 0.0101, 0.0099])
    below, above = outside(np.log(0.01004), np.log(0.01006), error, 1e-4)
    np.testing.assert_array_equal((below <= 0) & (above <= 0), [True, True, False])
    assert below[2] == pytest.approx(np.log(0.01004 / 0.00995))


def test_density_of_a_wide_distribution_does_not_depend_on_the_step():
    error = np.array([0.05, 0.2])

    def density(log_error):
        return scipy.stats.norm.logpdf(log_error, -2.0, 0.5)

    exact = rounded_log_density(density, error, 0.0)
    np.testing.assert_array_equal(exact, density(np.log(error)))
    np.testing.assert_allclose(rounded_log_density(density, error, 1e-4), exact, atol=1e-4)


def test_density_is_at_most_the_reciprocal_of_the_step():
    error = np.array([0.02])
    actual = rounded_log_density(lambda x: scipy.stats.norm.logpdf(x, np.log(0.02), 1e-9), error, 1e-4)
    np.testing.assert_allclose(actual, np.log(0.02 / 1e-4))


class Mixture(StudentMixture):
    """Two Student distributions for one curve and one size."""

    def components(self, size):
        return np.array([[[-1.0], [1.0]]]), np.array([[[0.5]]]), np.array([[[4.0]]])


def test_student_mixture_matches_scipy():
    mixture, size = Mixture(), np.ones((1, 1))
    value = np.array([[0.3]])
    expected = np.mean([scipy.stats.t.pdf(0.3, 4, c, 0.5) for c in (-1, 1)])
    np.testing.assert_allclose(mixture.log_density(size, value), np.log(expected))
    levels = np.array([0.05, 0.25, 0.9])
    quantile = mixture.log_quantile(size, levels)[0, 0]
    distribution = np.mean([scipy.stats.t.cdf(quantile, 4, c, 0.5) for c in (-1, 1)], axis=0)
    np.testing.assert_allclose(distribution, levels, atol=3e-3)


# Comparison


def test_clustered_interval_treats_clusters_as_observations():
    rng = np.random.default_rng(1)
    effect = rng.normal(size=40)
    cluster = np.repeat(np.arange(40), 25)
    estimate = clustered_mean(effect[cluster], cluster)
    error = effect.std() / np.sqrt(40)
    assert estimate.value == pytest.approx(effect.mean())
    np.testing.assert_allclose(
        [estimate.low, estimate.high], effect.mean() + 1.96 * error * np.array([-1, 1]), atol=0.05
    )
    assert (estimate.cases, estimate.clusters) == (1000, 40)


def test_clustered_mean_ignores_nan_and_weighs_cases():
    estimate = clustered_mean(np.array([1.0, 1.0, 4.0, np.nan]), np.array(["a", "a", "b", "c"]))
    assert (estimate.value, estimate.low, estimate.high) == (2.0, 1.0, 4.0)
    assert estimate.clusters == 2


def made_scores(cases, deviation):
    shape = cases.held_error.shape
    values = [np.where(cases.present, deviation, np.nan) for _ in range(4)]
    return Scores("made", cases, *values, np.where(cases.present[..., None], np.ones((*shape, 3)), np.nan), 1.0)


def test_paired_differences_and_ratio(cases):
    better, worse = made_scores(cases, 0.1), made_scores(cases, -0.2)
    difference = paired(better, worse)
    assert difference["log_error"].value == pytest.approx(-0.1)
    assert difference["log_error_ratio"].value == pytest.approx(0.5)
    assert difference["log_density"].value == pytest.approx(0.3)
    assert difference["better"].value == 1.0
    with pytest.raises(ValueError, match="different cases"):
        paired(better, made_scores(cases.take(np.arange(2)), 0.1))


def test_means_average_within_cases(cases):
    deviation = np.where(cases.factor == 0, 0.3, 0.4)
    means = made_scores(cases, deviation).means()
    np.testing.assert_allclose(means[2, column("log_error")], np.sqrt((0.3**2 + 2 * 0.4**2) / 3))
    near = made_scores(cases, deviation).means(cases.factor == 0)
    np.testing.assert_allclose(near[:, column("crps")], 0.3)
    expected = np.mean(0.3 - np.log(cases.held_error[0, 0]))
    np.testing.assert_allclose(near[0, column("log_density_of_error")], expected)


# Cases


def test_factor_bins_close_on_the_right():
    bins = factor_bins(np.array([101.0, 200.0, 201.0, 400.0, 800.0, 1600.0, 1601.0, np.nan]), np.array(100.0))
    assert bins.tolist() == [0, 0, 1, 1, 2, 3, 4, -1]
    assert len(FACTORS) == 5


def test_cut_divides_a_curve_and_zeros_are_dropped(cases):
    assert cases.size.shape == (3, 4)
    assert cases.held_size.shape == (3, 4)
    assert cases.zeros == 1
    assert cases.present.sum(axis=1).tolist() == [4, 3, 3]
    np.testing.assert_array_equal(cases.held_size[1], [1600, 3200, 12800, np.nan])
    assert cases.factor[0].tolist() == [0, 1, 2, 3]
    both = {f"{family}, {factor}" for family in ("linear", "neural") for factor in FACTORS[:4]}
    assert set(groups(cases)["family x factor"]) == both - {"neural, (4, 8]"}


def test_held_out_error_is_one_repeat():
    replicates = np.array([[[0.4, 0.3, np.nan], [0.5, 0.2, 0.1]]])
    cases = make_cases(np.array([1.0, 2.0, 4.0]), np.nanmean(replicates, axis=1), [1.0], replicates=replicates)
    np.testing.assert_array_equal(cases.held_error, [[0.3, 0.1]])
    np.testing.assert_array_equal(cases.replicates, [[[0.4], [0.5]]])


def test_cuts_need_enough_sizes():
    size = np.array([16.0, 32, 64, 128, 256])
    error = np.array([[0.5, 0.4, 0.3, 0.2, 0.1], [0.5, 0.4, 0.3, np.nan, np.nan]])
    row, cut = select_cuts(size, error, (2, 4), 3)
    assert (row.tolist(), cut.tolist()) == ([0, 0], [128.0, 64.0])


def test_sample_is_even_over_strata_and_nested():
    stratum = np.repeat([2, 4, 8], [100, 100, 5])
    rows = sample_rows(stratum, 45)
    assert np.bincount(stratum[rows])[[2, 4, 8]].tolist() == [20, 20, 5]
    assert set(sample_rows(stratum, 12)) <= set(rows)
    assert len(sample_rows(stratum, 1000)) == 205


def test_families_hold_each_learner_once():
    names = [name for members in FAMILIES.values() for name in members]
    assert len(names) == len(set(names)) == 27


def test_lcdb_layout(tmp_path):
    anchors = [16, 23, 32, 45, 64, 91, 128, 181, 256]
    packed = np.full((4, 2, 1, 9, 3), 1000, np.int16)
    packed[2, 0, 0, -1] = -1
    np.savez(tmp_path / "lcdb11_error_rate.npz", er=packed)
    (tmp_path / "lcdb11_meta.json").write_text(json.dumps({"learners": ["MLP", "DummyClassifier"], "anchors": anchors}))
    cases = read_cases(f"lcdb:{tmp_path}")
    assert sorted(cases.name) == ["MLP, data set 0"]
    assert cases.cut.tolist() == [128.0]
    assert cases.family.tolist() == ["neural"]
    assert read_cases(f"lcdb:{tmp_path}", half="odd").cluster.tolist() == ["data set 1", "data set 3"]


def test_csv_of_the_public_benchmark(tmp_path):
    path = tmp_path / "curves.csv"
    rows = [f"images,{task},net,{2**i},{1 / (i + 1)},{int(i < 3)}" for task in "ab" for i in range(5)]
    path.write_text(HEADING + "\n".join(rows) + "\n")
    cases = read_cases(str(path))
    assert cases.name.tolist() == ["images a net", "images b net"]
    assert cases.family.tolist() == ["images", "images"]
    np.testing.assert_allclose(cases.held_error[0], [1 / 4, 1 / 5])
    path.write_text(HEADING + "images,a,net,1,0.5,0\nimages,a,net,2,0.4,1\n")
    with pytest.raises(ValueError, match="only extrapolation"):
        read_cases(str(path))


# Methods


def test_last_value_walks_in_log_size(cases):
    predictive = LastValue().fit(jax.random.key(0), cases.curves())
    size = cases.padded_sizes()
    np.testing.assert_allclose(np.exp(predictive.log_median(size))[:, 0], cases.error[:, -1], rtol=1e-6)
    _, scale, degrees = predictive.components(size)
    steps = np.diff(np.log(cases.error[0])) ** 2 / np.log(2)
    np.testing.assert_allclose(scale[0, 0, 2], np.sqrt(3 * np.log(2) * (steps.sum() + 0.03**2) / 4), rtol=1e-5)
    assert degrees.ravel().tolist() == [4.0] * 3


def test_scores_resume_from_parts_and_refuse_other_cases(cases, tmp_path):
    lines = []
    first = score(LastValue(), cases, jax.random.key(0), chunk=2, parts=tmp_path, tag="v1", progress=lines.append)
    again = score(LastValue(), cases, jax.random.key(0), chunk=2, parts=tmp_path, tag="v1", progress=lines.append)
    assert len(lines) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"last_value@v1-00{i}.npz" for i in range(2)]
    np.testing.assert_array_equal(first.crps, again.crps)
    np.testing.assert_array_equal(np.isnan(first.deviation), ~cases.present)
    other = dataclasses.replace(cases, error=cases.error * 1.1)
    with pytest.raises(ValueError, match="other cases"):
        score(LastValue(), other, jax.random.key(0), chunk=2, parts=tmp_path, tag="v1")


def test_forms_beat_the_last_value_on_power_laws(cases):
    scores = [score(method, cases, jax.random.key(0)) for method in (FormFit("M1", power_law, draws=20), LastValue())]
    result = compare(scores)
    assert result["methods"]["M1"]["all"]["log_error"] < 0.1
    assert result["paired"]["last_value"]["all"]["log_density"].low > 0
    assert scores[0].failed == 0


def test_unknown_method_is_refused():
    with pytest.raises(ValueError, match="Methods: posterior, mixture"):
        find_method("M5")
    assert find_method("benchmarks.forecast.methods:METHODS")["M1"].name == "M1"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["posterior", "mixture", "M2"])
def test_density_quantiles_and_draws_are_of_one_distribution(name, cases):
    one = cases.take(np.arange(1))
    size = one.padded_sizes()[:, :1]
    predictive = find_method(name).fit(jax.random.key(0), one.curves())
    grid = predictive.log_median(size) + np.linspace(-12, 12, 4801)
    density = np.exp(predictive.log_density(np.broadcast_to(size, grid.shape), grid))[0]
    grid = grid[0]
    distribution = np.cumsum(density) * (grid[1] - grid[0])
    # Student's distribution with 1.4 degrees of freedom has 3 % beyond the grid at most.
    assert distribution[-1] == pytest.approx(1, abs=0.03)
    levels = np.array([0.05, 0.25, 0.75, 0.95])
    quantile = predictive.log_quantile(size, levels)[0, 0]
    np.testing.assert_allclose(np.interp(quantile, grid, distribution), levels, atol=0.03)
    np.testing.assert_allclose(np.mean(predictive.log_draws(size)[0, :, :1] <= quantile, axis=0), levels, atol=0.03)


@pytest.mark.slow
def test_command_writes_all_files(tmp_path, capsys):
    path = tmp_path / "curves.csv"
    rows = [
        f"images,{task},net,{100 * 2**i},{0.3 * 2 ** (-0.4 * i) + 0.001 * (i % 3)},{int(i < 5)}"
        for task in "ab"
        for i in range(8)
    ]
    path.write_text(HEADING + "\n".join(rows) + "\n")
    main([str(path), str(tmp_path / "out"), "--methods", "M1,last_value", "--tag", "v1"])
    written = {p.name for p in (tmp_path / "out").iterdir()}
    assert written == {"parts", "comparison.json", "comparison.md", "comparison.png", "comparison.svg"}
    result = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert result["configuration"]["pairs"] == 2
    assert result["paired"]["last_value"]["all"]["log_error_ratio"][0] < 1
    assert set(result["coverage"]["all"]) == {"coverage_50", "coverage_80", "coverage_90"}
    assert "| last_value |" in capsys.readouterr().out


def test_scores_with_a_dimension_are_paired_with_those_without():
    def scores(*log_error):
        rest = {name: np.ones(2) for name in ("log_density", "coverage", "weight")}
        return {"log_error": np.array(log_error), **rest}

    result = dimension.summarize({"without": scores(0.2, 0.4), "dimension": scores(0.1, 0.2)})
    assert "weight" not in result["without"]
    np.testing.assert_allclose(result["without"]["log_error"], 0.3)
    np.testing.assert_allclose(result["dimension"]["log_error_change"], -0.15)
    np.testing.assert_allclose(result["dimension"]["standard_error"], np.std([-0.1, -0.2], ddof=1) / np.sqrt(2))


def test_published_losses_are_read_without_the_size_of_zero(tmp_path):
    path = tmp_path / "flan.csv"
    path.write_text("config name,0,200,400,size,family\na,4.5,4.0,3.5,1000,x\nb,3.5,3.0,2.5,2000,y\n")
    size, loss = fine_tuning.read_losses(path)
    np.testing.assert_array_equal(size, [200, 400])
    np.testing.assert_array_equal(loss, [[4.0, 3.5], [3.0, 2.5]])
