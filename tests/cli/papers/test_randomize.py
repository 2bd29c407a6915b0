"""`lcjax randomize`: one small command for each kind of experiment."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lcjax.cli import app
from lcjax.records import from_dict
from lcjax.studies.randomization.nets import NETS
from lcjax.studies.randomization.randomize import RandomizationTests

SIZE = 40
FEW = ["--steps", 20, "--batch", 20, "--records", 2]


def lcjax(*arguments):
    """Return the output of `lcjax randomize` in one line, and its JSON."""
    done = CliRunner().invoke(app, ["randomize", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    folder = Path(arguments[arguments.index("--output") + 1])
    return " ".join(done.output.split()), json.loads((folder / "randomize.json").read_text())


@pytest.mark.slow
def test_conditions(tmp_path):
    options = ["--net", f"mlp-1x512:{SIZE}", "--levels", 3, *FEW, "--top", 3, "--output", tmp_path]
    output, result = lcjax(*options)
    assert "stated by the paper" in output
    assert "The paper's order: true labels" in output
    assert result["configuration"]["recipe"]["steps"] == 20
    assert result["tests"]["top"] == 3
    assert (tmp_path / "figure1.png").exists()
    again = json.loads(CliRunner().invoke(app, ["randomize", *map(str, options), "--json", "--resume"]).stdout)
    assert again["tests"]["test_error"] == result["tests"]["test_error"]


@pytest.mark.slow
def test_regularizers_are_compared_with_the_papers(tmp_path):
    options = ["--experiment", "regularizers", "--size", SIZE, "--dropout", "--output", tmp_path]
    output, result = lcjax(*options, *FEW)
    assert (tmp_path / "figure2.png").exists()
    assert "46.65" not in output  # the three-layer network's
    assert "49.61" in output  # the paper's test error with weight decay
    assert "true labels, dropout" in output
    tests = from_dict(RandomizationTests, result["tests"])
    assert [tests.regularizers(row) for row in range(4)] == ["weight decay", "", "", "dropout"]  # Table 1's, and ours
    (line,) = tests.gains()
    assert line in output


@pytest.mark.slow
def test_widths_are_compared_with_bourlard_and_wellekens(tmp_path):
    options = ["--experiment", "widths", "--ratios", "2,4", "--size", 60, "--output", tmp_path]
    output, result = lcjax(*options, *FEW)
    assert (tmp_path / "width.png").exists()
    np.testing.assert_allclose(result["tests"]["ratio"], [85 / 60, 235 / 60])
    assert "200 9.3 13.1 40.6" in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--net", "resnet"], "--net 'resnet' is not NAME"),
        (["--net", "lenet:many"], "'--net': expected an integer from 2"),
        (["--net", "mlp-1x512:99999"], "in [1, 1198]"),
        (["--experiment", "widths", "--ratios", "1,x"], "'--ratios': expected a number above 0, got 'x'"),
        (["--experiment", "widths", "--ratios", "0.01"], "too small for one hidden unit"),
    ],
)
def test_wrong_options_give_one_line(options, message, tmp_path):
    done = CliRunner().invoke(app, ["randomize", "--output", str(tmp_path), *options])
    assert done.exit_code == (2 if "expected" in done.stderr or "--net 'resnet'" in done.stderr else 1)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_table_2_by_the_same_command(monkeypatch, tmp_path):
    """A LeNet takes the place of Inception V3, whose programs take minutes to compile."""
    monkeypatch.setitem(NETS, "inception-v3", dataclasses.replace(NETS["inception-v3"], build=NETS["lenet"].build))
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 80, 80, 3)).astype(np.uint8), np.arange(60) % 12
    np.savez(tmp_path / "images.npz", x_train=images, y_train=labels, x_test=images[:24], y_test=labels[:24])
    options = ["--experiment", "regularizers", "--net", "inception-v3:24", "--data", f"npz:{tmp_path}/images.npz"]
    output, result = lcjax(*options, "--steps", 2, "--batch", 8, "--records", 1, "--output", tmp_path)
    tests = from_dict(RandomizationTests, result["tests"])
    assert [tests.regularizers(row) for row in range(7)] == [
        "crop and flip, weight decay, dropout", "crop and flip", "weight decay", "",
        "weight decay, dropout", "weight decay", "",
    ]  # fmt: skip
    assert tests.condition == ("true labels",) * 4 + ("random labels",) * 3
    assert tests.top == 5
    assert np.all(tests.test_top_error <= tests.test_error)
    for number in ("40.20", "19.62", "36.84"):  # the paper's top-1, top-5 and best errors without regularizers
        assert number in output
