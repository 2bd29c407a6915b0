"""`lcjax measure` from the command line."""

import json
import re

import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.measurement import FRACTIONS
from tests.reports.problems import Tree

CHEAP = [
    "--fractions",
    "0.1,0.4",
    "--steps",
    "30",
    "--seeds",
    "2",
    "--widths",
    "4,16",
    "--learning-rates",
    "0.003,0.03",
]


@pytest.mark.slow
def test_table_files_and_json_agree(lcjax, tmp_path):
    code, out, _ = lcjax("measure", *CHEAP, "--output", tmp_path)
    assert code == 0
    kept = json.loads((tmp_path / "measurement.json").read_text())
    assert len(kept["measurement"]["members"]["error"]) == 4
    for name in ("measurement.png", "measurement.svg"):
        assert (tmp_path / name).stat().st_size > 0
    for size, error in zip(kept["measurement"]["curve"]["size"], kept["measurement"]["curve"]["error"], strict=True):
        line = next(line for line in out.splitlines() if line.strip().startswith(f"{size:,} "))
        assert f"{100 * error:.1f}" in line
        assert "mlp " in line
    page = Tree((tmp_path / "report.html").read_text())
    assert len(page.all("figure")) == 1
    assert len(page.all("tr")) >= len(kept["measurement"]["curve"]["size"])
    code, out, err = lcjax("measure", *CHEAP, "--output", tmp_path, "--json", "--resume")
    assert (code, err) == (0, "")
    assert json.loads(out)["measurement"] == kept["measurement"]


@pytest.mark.slow
def test_a_dry_run_tells_steps_time_memory_and_disk(lcjax, tmp_path):
    code, out, _ = lcjax("measure", *CHEAP, "--dry-run", "--json", "--output", tmp_path / "out")
    assert code == 0
    plan = json.loads(out)["dry_run"]
    sizes, members, seeds = 2, 4, 2
    assert plan["trainings"] == sizes * members * seeds
    assert plan["steps"] >= plan["trainings"]
    assert plan["seconds"] > 0
    assert plan["memory"] > 4 * 64 * 1198
    assert plan["disk"] > 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["nested", "independent"])
def test_shards_are_passed_on(lcjax, monkeypatch, tmp_path, name):
    def measured(*arguments, shards, **others):
        raise ValueError(f"to be drawn by {shards.__name__}")

    monkeypatch.setattr("lcjax.studies.measurement.measure_learning_curve", measured)
    _, _, err = lcjax("measure", *CHEAP, "--shards", name, "--output", tmp_path)
    assert err.strip() == f"lcjax: to be drawn by {name}_shards"


def test_shards_of_another_name_are_refused(lcjax):
    code, _, err = lcjax("measure", *CHEAP, "--shards", "disjoint")
    assert code != 0
    assert "'disjoint'" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fractions", "0.1,2"], "expected a number above 0 and at most 1, got '2'"),
        (["--learning-rates", "fast"], "--learning-rates"),
        (["--widths", "4,x"], "'--widths': expected an integer from 1 to 1000000, got 'x'"),
        (["--data", "npz:/nowhere.npz"], "nowhere.npz"),
    ],
)
def test_bad_input_is_reported_in_one_line(lcjax, tmp_path, arguments, message):
    code, out, err = lcjax("measure", *CHEAP, *arguments, "--output", tmp_path)
    assert code == 1 + ("expected" in err)
    assert out == ""
    assert err.startswith("lcjax: ")
    assert err.count("\n") == 1
    assert message in err


def test_the_help_states_the_default_fractions(lcjax):
    _, out, _ = lcjax("measure", "-h")
    assert len(FRACTIONS) == 6
    assert f"six, from {FRACTIONS[0]} to {FRACTIONS[-1]:g}" in " ".join(out.replace("│", " ").split())


@pytest.fixture
def prices(tmp_path):
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(300, 3)).astype(np.float32)
    path = tmp_path / "prices.npz"
    np.savez(path, inputs=inputs, targets=2e5 + 5e4 * (inputs @ [1.0, -1.0, 0.5] + 0.3 * generator.normal(size=300)))
    return f"npz:{path}"


@pytest.mark.slow
def test_quantities_are_measured_in_their_unit(lcjax, prices, tmp_path):
    options = ["--fractions", "0.1,0.25,0.5,1", "--steps", "200", "--seeds", "2", "--learning-rates", "0.01"]
    arguments = ["--data", prices, *options, "--target", "rmse<=40000", "--target-unit", "USD"]
    code, out, _ = lcjax("measure", *arguments, "--output", tmp_path / "out")
    assert code == 0
    assert "RMSE in USD" in out
    assert "Test RMSE 40000 USD: " in out
    kept = json.loads((tmp_path / "out/measurement.json").read_text())
    values = kept["values"]["rmse"]
    np.testing.assert_allclose(np.square(values), kept["measurement"]["curve"]["error"], rtol=1e-6)
    assert 1e4 < values[-1] < values[0] < 2e5
    table = lc.read_curves(tmp_path / "out/measurements.csv")
    assert table.metric.name == "rmse"
    np.testing.assert_allclose(table.metric.from_error(table.curve.error[0]), values, rtol=1e-5)
    page = (tmp_path / "out/report.html").read_text()
    assert "Test RMSE 40000 USD: " in page
    assert "rmse (USD)" in page


def test_metrics_and_tolerances_that_do_not_suit_the_targets_are_refused(lcjax, prices):
    for arguments, message in (
        (["--metric", "auroc"], "The metric of npz:/.*prices.npz must be error, rmse or mae, got 'auroc'"),
        (["--metric", "error"], r"deviation of 7\.\d+e\+04\. Pass --tolerance, the largest error of a"),
        (["--metric", "mae", "--tolerance", "3"], "--tolerance is for the share of wrong predictions, not for the mae"),
        (["--target", "mae<=9e9"], r"between 0 and the MAE of the best constant prediction, \d\.\d+e\+04, got 9e\+09"),
        (["--target", "auroc>=.9"], "is a target of auroc, but the curve is one of rmse"),
    ):
        code, _, err = lcjax("measure", "--data", prices, *arguments)
        assert code != 0
        assert re.search(message, err), err
    code, _, err = lcjax("measure", "--metric", "mae")
    assert code == 1
    assert "The metric mae is for targets that are quantities, which those of digits are not" in err


@pytest.mark.parametrize("name", ["predict", "dimension"])
def test_theories_of_error_rates_need_a_tolerance_for_quantities(lcjax, prices, name):
    code, _, err = lcjax(name, "--data", prices)
    assert code == 1
    assert re.search(rf"lcjax {name} needs an error rate, .* such as 2e\+04\. lcjax measure forecasts the RMSE", err)
