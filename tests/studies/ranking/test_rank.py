"""Ranking: its report, comparisons of variants, and correlations over tasks."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.ranking.rank import _hierarchy, compare_variants, rank
from lcjax.studies.ranking.task_curve import fit_task


@pytest.mark.slow
def test_a_ranking_is_written_task_by_task_and_resumes(key, tasks, tmp_path):
    alone = rank(key, tasks[:1], seeds=2, folder=str(tmp_path))
    written = json.loads((tmp_path / "hierarchy.json").read_text())
    assert [task["name"] for task in written["tasks"]] == ["signs"]
    assert written["tasks"][0]["fingerprint"] == tasks[0].data.fingerprint()
    assert (written["shards"], written["seeds"]) == ("lcjax:nested_shards", 2)
    assert written["seconds"] > 0
    events = []
    both = rank(key, tasks, seeds=2, folder=tmp_path, on_progress=events.append)
    assert {event.stage for event in events} == {"signs, shallow"}  # the first task is restored from the folder
    np.testing.assert_array_equal(both.scores["signs"].test["loss"], alone.scores["signs"].test["loss"])
    assert both.scores["signs, shallow"].test["error"].shape == (2, 2, 5)
    assert set(both.ranking.names) == {"signs", "signs, shallow"}
    written = json.loads((tmp_path / "hierarchy.json").read_text())
    assert [task["name"] for task in written["tasks"]] == list(both.curves)
    for name, by_metric in both.curves.items():
        laws = written["laws"][name]["error"]
        assert laws["envelope"] == pytest.approx(by_metric["error"].law(), rel=1e-6)
        assert len(laws["nets"]) == len(by_metric["error"].fixed_laws())
    (pair,) = both.comparisons
    a, b = (both.curves[name]["error"].exponent for name in (pair.first, pair.second))
    assert pair.difference == pytest.approx(a - b)
    assert pair.low <= pair.difference <= pair.high
    # The bootstrap of a task depends only on its position.
    again = fit_task(jax.random.fold_in(key, 2), both.scores["signs, shallow"], "error")
    assert again.interval() == both.curves["signs, shallow"]["error"].interval()


@pytest.mark.slow
def test_variants_of_one_curve_are_the_same_and_others_are_not(key, tasks, known_scores):
    def curves(**law):
        second = known_scores(noise=0.02, seed=1, **law)
        return {
            "signs": {"error": fit_task(key, known_scores(-0.4, noise=0.02), "error")},
            "signs, shallow": {"error": fit_task(jax.random.key(1), second, "error")},
        }

    (same,) = compare_variants(tasks, curves(exponent=-0.4, scale=1.5))
    assert same.stable
    assert same.ratio_low < 2.0 / 1.5 < same.ratio_high
    assert same.error_ratio == pytest.approx(2.0 / 1.5, rel=0.1)
    (other,) = compare_variants(tasks, curves(exponent=-0.2))
    assert not other.stable
    assert other.difference == pytest.approx(-0.2, abs=0.03)
    assert -0.25 < other.low < other.difference < other.high < -0.15
    for change in ({"domain": "other"}, {"metric": "loss"}):
        pair = [tasks[0], dataclasses.replace(tasks[1], **change)]
        by_metric = {name: {"error": c["error"], "loss": c["error"]} for name, c in curves(exponent=-0.4).items()}
        assert compare_variants(pair, by_metric) == ()


def test_tasks_without_a_fit_are_not_ranked(key, tasks, known_scores):
    flat = {"error": fit_task(key, known_scores(-0.01, scale=5.0), "error")}
    hierarchy = _hierarchy(tasks, {}, {task.name: flat for task in tasks})
    assert hierarchy.ranking is None
    assert hierarchy.comparisons == ()
    assert np.isnan([hierarchy.correlation, hierarchy.rank_correlation]).all()


@pytest.mark.slow
def test_exponents_of_error_and_model_size_are_correlated_over_tasks(key, tasks, known_scores):
    error, size = [-0.2, -0.3, -0.5], [0.7, 0.9, 0.6]
    fits = [fit_task(key, known_scores(exponent), "error") for exponent in error]
    laws = [dataclasses.replace(fit.model_size, exponent=jnp.asarray(one)) for fit, one in zip(fits, size, strict=True)]
    three = [dataclasses.replace(tasks[0], name=str(i)) for i in range(3)]
    curves = {str(i): {"error": dataclasses.replace(fits[i], model_size=laws[i])} for i in range(3)}
    hierarchy = _hierarchy(three, {}, curves)
    assert hierarchy.correlation == pytest.approx(np.corrcoef(error, size)[0, 1], abs=1e-3)
    assert hierarchy.rank_correlation == pytest.approx(0.5)
    two = _hierarchy(three[:2], {}, curves)
    assert np.isnan(two.correlation)


def test_bad_rankings(key, tasks):
    with pytest.raises(ValueError, match="different names, got signs, signs"):
        rank(key, [tasks[0], tasks[0]])
    with pytest.raises(ValueError, match="different names, got none"):
        rank(key, [])
    with pytest.raises(ValueError, match="at least 1, got 0"):
        rank(key, tasks, seeds=0)
    rank_unchecked = getattr(rank, "__wrapped__", rank)  # past the run-time type check
    with pytest.raises(ValueError, match="disjoint"):
        rank_unchecked(key, tasks, shards="disjoint")
    assert lc.studies.rank is rank
