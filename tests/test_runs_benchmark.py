"""The benchmark of runs in flight on a small table: scores, reliability, stopping rules and the command."""

import csv
import functools
import json

import numpy as np
import pytest

from benchmarks.runs_in_flight import __main__ as runs_in_flight
from benchmarks.runs_in_flight.__main__ import probabilities, tabulate_reliability
from benchmarks.runs_in_flight.replay import read_replays, replay_rule
from lcjax.curves import forms
from lcjax.curves.forecast.runs import RUN_FAMILIES, forecast_runs

RECORDS, RUNS = 16, 5


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Write two halves of one sweep each, whose runs fall to known values."""
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    rng = np.random.default_rng(0)
    rows = []
    for half in ("development", "held_out"):
        for seed, level in enumerate((0.5, 0.4, 0.7, 0.3, 0.6)):
            row = {"task": "images", "half": half, "size": "100", "seed": str(seed), "steps": "160"}
            for kind in ("error", "loss"):
                curve = (level + 0.5 / np.arange(1, RECORDS + 1)) * np.exp(0.01 * rng.normal(size=RECORDS))
                row |= {f"{kind}_{i:02}": f"{value:.5g}" for i, value in enumerate(curve, 1)}
            rows.append(row)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_best_is_that_of_the_earlier_runs(table):
    replay = read_replays(table, "held_out")[0]
    assert (replay.kind, replay.divisor, replay.count) == ("error", 8, 2)
    final = replay.final
    np.testing.assert_array_equal(replay.best, [np.nan, final[0], final[1], final[1], final[3]])
    reverse = replay.reorder(np.arange(RUNS)[::-1])
    np.testing.assert_array_equal(reverse.best, [final[3], final[3], final[3], final[4], np.nan])
    with pytest.raises(ValueError, match="no run of the half"):
        read_replays(table, "other")


def test_probabilities_of_the_baselines(table):
    replays = read_replays(table, "held_out")
    replay = replays[2]
    draws = {"ours": np.full((RUNS, 4), 0.45) * [0.5, 0.9, 1.5, 2.0]}
    result = probabilities(replay, draws, np.zeros(7))
    assert all(np.isnan(chance[0]) for chance in result.values())
    np.testing.assert_allclose(result["1 / (n + 1)"][1:], [1 / 2, 1 / 3, 1 / 4, 1 / 5])
    np.testing.assert_allclose(result["logistic"][1:], 0.5)
    np.testing.assert_array_equal(result["last value, yes or no"][1:], replay.cut_last[1:] < replay.best[1:])
    np.testing.assert_allclose(result["ours"][1], np.mean(draws["ours"][1] < replay.final[0]))


def test_reliability_counts():
    probability, below = np.array([0.01, 0.015, 0.5, 0.5, 1.0, np.nan]), np.array([0, 1, 1, 0, 1, 1], bool)
    bins = tabulate_reliability(probability, below)
    assert [(b["from"], b["count"], b["frequency"]) for b in bins] == [(0.0, 2, 0.5), (0.4, 2, 0.5), (0.8, 1, 1.0)]
    np.testing.assert_allclose([bins[2]["low"], bins[2]["high"]], [0.025, 1.0])  # Clopper and Pearson


def test_stopping_rules_account_for_steps_and_regret(table):
    replays = read_replays(table, "held_out")[:3]
    assert replay_rule(replays, lambda cut, run, finished: False) == {"saved": 0.0, "regret": 0.0, "missed": 0.0}
    final = replays[0].final
    always = replay_rule(replays, lambda cut, run, finished: cut == 1)
    np.testing.assert_allclose(always["saved"], 4 / 5 * 3 / 4)
    np.testing.assert_allclose(always["regret"], np.log(final[0] / final.min()))
    assert always["missed"] == 1.0


@pytest.mark.slow
def test_the_command_writes_table_and_figure(table, tmp_path, monkeypatch):
    """With one family, few draws and a simple form, which compile faster."""
    quick = functools.partial(forecast_runs, families=RUN_FAMILIES[:1], draws=64)
    monkeypatch.setattr(runs_in_flight, "forecast_runs", quick)
    monkeypatch.setattr(runs_in_flight, "power_law_offset", forms.last_value)
    runs_in_flight.main([str(table), str(tmp_path), "--half", "held_out", "--orders", "1"])
    report = json.loads((tmp_path / "held_out.json").read_text())
    assert report["facts"]["forecasts"] == RUNS * 6
    replays, scores = read_replays(table, "held_out"), report["scores"]
    last_value = np.mean([np.abs(np.log(replay.cut_last / replay.final)) for replay in replays])
    np.testing.assert_allclose(scores["last value"]["all"]["log_error"], last_value, rtol=0.01)
    assert scores["ours"]["all"]["log_error"] < last_value
    assert sum(b["count"] for b in report["reliability"]["ours"]) == (RUNS - 1) * 6
    assert len(report["random orders"]["rules"]) == 8
    assert (tmp_path / "held_out.md").read_text().count("| ours |") == 3
    assert (tmp_path / "held_out.png").stat().st_size < 200_000
