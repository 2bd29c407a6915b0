"""`lcjax demo`: measurement, answer and report."""

import csv
import json

import pytest


@pytest.mark.slow
def test_the_demo_answers_and_reports(lcjax, tmp_path):
    code, out, _ = lcjax("demo", "--output", tmp_path)
    assert code == 0
    assert "Accuracy 0.98: " in out
    assert f"Open {tmp_path}/report.html in a browser" in out
    with (tmp_path / "measurements.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 30
    (curve,) = json.loads((tmp_path / "result.json").read_text())["curves"]
    assert 1198 < curve["size_for_error"]["value"] < 50_000
    assert "random forest" in (tmp_path / "report.html").read_text()
    code, out, _ = lcjax("demo", "--output", tmp_path, "--resume", "--json")
    assert code == 0
    assert json.loads(out)["configuration"]["sizes"][-1] == 1198
