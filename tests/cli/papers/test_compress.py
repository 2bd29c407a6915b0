"""`lcjax compress` on small data sets."""

import json
import sys

import numpy as np
import pytest

from lcjax import cli
from lcjax.papers.sharma import DENSE_LOSSES, QUICK_LOSSES


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["lcjax", "compress", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as stopped:
        return stopped.code or 0, capsys.readouterr()
    return 0, capsys.readouterr()


@pytest.mark.slow
def test_the_command(monkeypatch, capsys, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.random((300, 8)) < 0.5
    lines = [f"{1 + int(row[:3].sum() > 1)} {' '.join(f'{j + 1}:1' for j in np.flatnonzero(row))}\n" for row in x]
    (tmp_path / "set").write_text("".join(lines))
    code, captured = run(
        monkeypatch, capsys, "--data", f"libsvm:{tmp_path / 'set'}", "--layers", "1", "--width", "6", "--epochs", "2",
        "--losses", "H,H+LCA", "--preactivation", "1e-4", "--rates", "0.1", "--seeds", "2", "--batch", "20",
        "--output", tmp_path / "out",
    )  # fmt: skip
    assert code == 0
    assert "Claims of the paper" in captured.out
    told = json.loads((tmp_path / "out" / "compress.json").read_text())
    assert [loss["chosen"]["learning_rate"] for loss in told["compressions"][0]["losses"]]
    assert told["configuration"]["splits"] == [200, 40, 60]
    assert told["configuration"]["recipe"]["passes"] == 2
    assert "Claims of the paper" in (tmp_path / "out" / "tables.md").read_text()
    for name in ("trade_off", "figure3", "weights_1", "figure2_1"):
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 10000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--losses", "H+Q"), "H+Q"),
        (("--net", "quicknet", "--epochs", "3"), "--epochs 3 is not for --net quicknet"),
        (("--steps", "3"), "--epochs"),
        (("--examples", "2000"), "got 2000"),
    ],
)
def test_bad_commands(monkeypatch, capsys, tmp_path, arguments, message):
    code, captured = run(monkeypatch, capsys, *arguments, "--output", tmp_path)
    assert code == 1
    assert captured.err.count("\n") == 1
    assert message in captured.err


@pytest.mark.parametrize(
    ("net", "losses"),
    [
        pytest.param("quicknet", "S,S+W+BN+LCA+D,S+W+D+LCL", marks=pytest.mark.slow, id="quicknet"),
        pytest.param("quicknet", None, marks=pytest.mark.acceptance, id="quicknet, every row"),
        pytest.param("densenet", None, marks=pytest.mark.slow, id="densenet, every row"),
    ],
)
def test_convolutional_commands(monkeypatch, capsys, tmp_path, net, losses):
    """Run rows of the paper's table with one command."""
    code, captured = run(
        monkeypatch, capsys, "--net", net, "--depth", 7, "--examples", 100, "--steps", 2, "--batch", 10,
        "--rates", "0.01", "--weight", "1e-3", "--preactivation", "1e-6", "--seeds", 1, "--output", tmp_path,
        *(() if losses is None else ("--losses", losses)),
    )  # fmt: skip
    assert code == 0, captured.err
    told = json.loads((tmp_path / "compress.json").read_text())
    rows = QUICK_LOSSES if net == "quicknet" else DENSE_LOSSES
    named = [loss["name"] for loss in told["compressions"][0]["losses"]]
    assert named == (list(rows) if losses is None else losses.split(","))
