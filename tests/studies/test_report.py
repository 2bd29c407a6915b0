"""Reports: JSON with settings and environment, and tables as Markdown."""

import json

import numpy as np

from lcjax.studies.report import Table, identify_data, markdown, write_markdown, write_report

TABLES = [Table("One", ("a", "b"), [["1", "2"], ["3", "4"]]), Table("Two", ("c",), [])]


def test_reports_name_the_environment(tmp_path):
    write_report(str(tmp_path / "new" / "a.json"), {"seeds": 2}, {"error": np.array([0.5, np.nan])})
    report = json.loads((tmp_path / "new" / "a.json").read_text())
    assert list(report) == ["seeds", "environment", "error"]
    assert report["error"] == [0.5, None]
    assert report["environment"]["versions"]["numpy"] == np.__version__


def test_data_are_identified_by_name_and_content(digits, small):
    assert identify_data(digits) == {"data": "digits", "fingerprint": digits.fingerprint()}
    assert identify_data(small) != identify_data(digits)


def test_tables_become_markdown(tmp_path):
    expected = "### One\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\n### Two\n\n| c |\n|---|\n\n"
    assert markdown(TABLES) == expected
    write_markdown(tmp_path / "tables.md", TABLES)
    assert (tmp_path / "tables.md").read_text() == expected
