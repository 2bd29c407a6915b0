"""`lcjax interpolate` on the digits."""

import json

import pytest
from typer.testing import CliRunner

from lcjax.cli import app


@pytest.mark.slow
def test_the_command(tmp_path):
    command = ["interpolate", "--rows", "100", "--features", "pixels:0.4", "--features", "filters:30",
               "--ridge", "0.001", "--output", str(tmp_path)]  # fmt: skip
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "30 random filters" in done.output
    assert "norm 220" in done.output
    assert (tmp_path / "descent.png").exists()
    result = json.loads((tmp_path / "interpolation.json").read_text())
    assert [row["features"] for row in result["interpolations"]["rows"]] == ["pixels", "30 random filters"]
    assert result["peak_memory_gigabytes"] > 0.05
    wrong = CliRunner().invoke(app, ["interpolate", "--features", "pixels:0", "--output", str(tmp_path)])
    assert wrong.exit_code == 1
    assert wrong.stderr.startswith("lcjax: Features 'pixels:0'")
    assert wrong.stderr.count("\n") == 1
