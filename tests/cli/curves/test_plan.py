"""`lcjax plan`: rounds in tables, JSON and a figure, several curves, and a line for what goes wrong."""

import json

import numpy as np
import pytest

from lcjax.cli.curves.parts import without_whole
from lcjax.cli.curves.plan import RISK, _advise
from lcjax.curves.readers.csv import read_curves
from lcjax.planning.plan_collection import RISK as DEFAULT_RISK

SIZE = 100 * 2 ** np.arange(7)


@pytest.fixture
def files(tmp_path):
    """Write a curve as `lcjax collect` does, and two curves in one file."""
    noise = np.exp(0.01 * np.random.default_rng(0).normal(size=SIZE.size))
    accuracy = 1 - 2.0 * SIZE**-0.4 * noise
    one, two = tmp_path / "measurements.csv", tmp_path / "classes.csv"
    rows = [f"{n},0,accuracy,{a:.5f},1.5" for n, a in zip(SIZE, accuracy, strict=True)]
    one.write_text("\n".join(["size,repeat,metric,value,seconds", *rows]))
    rows = [f"{n},{c},{s * n**-0.4:.5f}" for c, s in (("cat", 2.0), ("dog", 3.0)) for n in SIZE]
    two.write_text("\n".join(["size,curve,error", *rows]))
    return one, two


@pytest.mark.slow
def test_rounds_are_planned_printed_drawn_and_stored(lcjax, tmp_path, files):
    arguments = ["plan", files[0], "--target", "accuracy>=.95", "--cost", "0.1", "--rounds", "2", "--draws", "64"]
    code, out, err = lcjax(*arguments, "--output", tmp_path / "out")
    assert (code, err) == (0, "")
    for text in ("examples in all", "target met", " now (", "The risk sets the last size.", "plan again"):
        assert text in " ".join(out.split()).replace("plan the next one again", "plan again")
    for name in ("plan.json", "plan.png", "plan.svg", "report.html"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    code, out, err = lcjax(*arguments, "--output", tmp_path / "out", "--json", "--force")
    told = json.loads(out)
    assert (code, err, told["configuration"]["risk"]) == (0, "", 0.1)
    plan = told["plan"]
    exact = (2.0 / 0.05) ** (1 / 0.4)
    assert 0.8 * exact < plan["size"][0][-1] < 2.5 * exact
    np.testing.assert_allclose(plan["target"], 0.05)
    np.testing.assert_allclose(np.sum(plan["cost"]), 0.1 * (plan["size"][0][-1] - 6400))
    code, out, _ = lcjax("plan", files[0], "--target", "accuracy>=.95", "--penalty", "1", "--output", tmp_path / "new")
    assert code == 0
    assert "expected to cost more than the penalty that it saves" in out


@pytest.mark.slow
def test_curves_of_a_file_are_types_of_data(lcjax, tmp_path, files):
    few = ["--draws", "64", "--output", tmp_path / "out", "--force", "--json"]
    code, out, _ = lcjax("plan", files[1], "--target-error", "0.07", "--cost", "1,2", "--budget", "40000", *few)
    plan = json.loads(out)["plan"]
    assert (code, plan["names"], plan["limited_by"]) == (0, ["cat", "dog"], "budget")
    assert plan["largest_cost"] <= 40000
    code, out, _ = lcjax("plan", files[1], "--budget", "5000", *few[:-1])
    assert code == 0
    assert "Division of the budget" in out
    assert "expected error" in out
    code, out, _ = lcjax("plan", files[1], "--target-error", "0.07", "--cost", "1,2", "--sources", *few)
    result = json.loads(out)
    assert (code, result["sources"]["names"], result["sources"]["best"]) == (0, ["cat", "dog"], 0)
    assert result["plan"] == result["sources"]["plans"][0]
    assert "Mixes are not planned" in (tmp_path / "out" / "report.html").read_text()


@pytest.fixture
def groups(tmp_path):
    """Write the errors of two groups and of all test examples, as `lcjax collect` does; "b" has a floor."""
    path = tmp_path / "groups.csv"
    rows = []
    for n in SIZE:
        a, b = 2.0 * n**-0.5, 0.2 + 0.5 * n**-0.5
        rows += [f"{n},0,error,{name},{error:.5f}" for name, error in (("", (a + b) / 2), ("a", a), ("b", b))]
    path.write_text("\n".join(["size,repeat,metric,group,value", *rows]))
    return path


def test_the_whole_is_not_a_type_of_data(groups):
    table = without_whole(read_curves(groups, curve_column="group"))
    assert (table.names, table.curve.error.shape, table.fitted.shape) == (("a", "b"), (2, 7), (2, 7))
    note = "Left out: 'all', the curve of all test examples, because its parts have their own."
    assert table.notes[-1] == note
    assert without_whole(table) is table


@pytest.mark.slow
def test_groups_are_types_and_the_one_out_of_reach_is_named(lcjax, tmp_path, groups):
    options = ["--curve-column", "group", "--target-error", "0.15", "--draws", "64", "--output", tmp_path / "out"]
    code, out, err = lcjax("plan", groups, *options)
    assert (code, err) == (0, "")
    out = " ".join(out.split())
    for text in (
        "No plan keeps the risk of 0.1: ",
        'The least likely is that of "b", with',
        "Left out: 'all', the curve",
    ):
        assert text in out
    assert ("--assume-reachable" in out) != ("Choose another --target" in out)
    code, out, _ = lcjax("plan", groups, *options, "--json", "--force")
    plan = json.loads(out)["plan"]
    assert (plan["names"], plan["risk"], len(plan["reachable_each"])) == (["a", "b"], 0.1, 2)
    assert plan["reachable_each"][1] < plan["reachable_each"][0]


def test_advice_gives_the_smallest_risk_of_a_plan():
    assert _advise(0.661).startswith("A plan exists for --risk 0.34 or more, for --penalty")
    assert _advise(0.0) == "Choose another --target: it can hardly be met."


def test_the_default_risk_is_that_of_plan_collection():
    assert RISK == DEFAULT_RISK


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give --target, or --budget to divide among the curves"),
        (["--target", "accuracy>=.95", "--risk", "0.1", "--penalty", "5"], "Give --risk or --penalty, not both."),
        (["--budget", "5", "--risk", "0.1"], "refer to a target: give --target"),
        (["--target", "accuracy>=.95", "--unfairness", "1"], "leave out --target"),
        (["--budget", "5", "--sources"], "measure the curve of the mix as a further source"),
        (["--target", "accuracy>=.95", "--sources"], "--sources chooses among several curves, but the file has one"),
        (["--target", "accuracy>=.95", "--cost", "1,2"], "--cost needs one number, or one for each of the 1 curves"),
        (["--target", "accuracy>=.95", "--cost", "x"], "Invalid value for '--cost'"),
        (["--target", "accuracy<=.95"], "accuracy"),
    ],
)
def test_wrong_options_are_refused_in_a_line(lcjax, tmp_path, files, arguments, message):
    code, out, err = lcjax("plan", files[0], *arguments, "--output", tmp_path / "out")
    assert code in (1, 2)
    assert out == ""
    assert err.count("\n") == 1
    assert message in err
