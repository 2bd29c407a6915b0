"""Data sets on the command line: what was inferred is printed, and the kind of the targets can be chosen."""

import json

import numpy as np
import pytest


@pytest.mark.parametrize("command", [pytest.param("compress", marks=pytest.mark.slow), "randomize", "interpolate"])
def test_commands_for_classes_refuse_quantities_with_the_option(lcjax, tmp_path, command):
    rng = np.random.default_rng(0)
    images, targets = rng.integers(0, 256, (60, 8, 8), np.uint8), rng.integers(0, 3, 60).astype(float)
    np.savez(tmp_path / "a.npz", inputs=images, targets=targets)
    code, _, err = lcjax(command, "--data", f"npz:{tmp_path / 'a.npz'}", "--output", tmp_path / "out")
    assert code == 1
    assert f"lcjax {command} needs classes; the targets of npz:" in err
    assert err.endswith("are real numbers. If they are the numbers of classes, pass --no-regression.\n")


@pytest.mark.slow
def test_what_was_inferred_about_a_table_is_printed(lcjax, tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"{x:.3f},{('red', 'blue')[i % 2]},{int(x > 0)}" for i, x in enumerate(rng.normal(size=200))]
    (tmp_path / "set.csv").write_text("\n".join(["x,color,label", *rows]))
    options = ("--data", f"csv:{tmp_path / 'set.csv'}", "--model", "mlp", "--seeds", 1, "--steps", 20, "--epochs", 0)
    options = (*options, "--learning-rates", "0.01", "--fractions", "0.5,1", "--output", tmp_path / "out")
    code, out, err = lcjax("measure", *options)
    assert code == 0, err
    assert "The column 'label' is used as target." in out
    assert "Text is encoded by columns of 0 and 1: 'color' (1)." in out
    code, out, err = lcjax("measure", *options, "--json", "--force")
    assert code == 0, err
    json.loads(out)
    assert "The column 'label' is used as target." in err
