"""`lcjax compare` from the command line: tables, sentences, files, JSON, and messages for wrong inputs."""

import json
import xml.etree.ElementTree

import numpy as np
import pytest

SIZE = 100 * 2 ** np.arange(6)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(0)
    paths = []
    for name, scale in (("scratch", 2.0), ("tuned", 1.0)):
        rows = [
            f"{n},{repeat},{scale * n**-0.4 * np.exp(0.01 * rng.normal()):.5f}" for n in SIZE for repeat in range(3)
        ]
        paths.append(folder / f"{name}.csv")
        paths[-1].write_text("\n".join(["size,repeat,error", *rows]))
    return paths


@pytest.mark.slow
def test_two_files_are_compared(lcjax, tmp_path, files):
    arguments = (*files, "--target", "error<=0.03", "--target-size", 12800, "--paired", "--output", tmp_path)
    code, out, err = lcjax("compare", *arguments)
    assert (code, err) == (0, "")
    for text in (
        "tuned minus scratch (* forecast)",
        "12,800 *",
        'At 3,200 examples, the error of "tuned" minus that of "scratch" is -0.0',
        "3 pairs of repeats",
        ', "tuned" equals "scratch" at 3,200 examples.',
        "Examples for error 0.03",
        "more than 99 %",
    ):
        assert text in out
    assert {path.name for path in tmp_path.iterdir()} >= {"compare.json", "compare.png", "compare.svg", "report.html"}
    labels = {"".join(text.itertext()) for text in xml.etree.ElementTree.parse(tmp_path / "compare.svg").iter()}
    assert {"scratch", "tuned"} <= {label.strip() for label in labels}
    result = json.loads((tmp_path / "compare.json").read_text())
    (only,) = result["comparisons"]
    assert (only["curve"], result["baseline"], result["target_size"]) == ("tuned", "scratch", 12800)
    at = only["size"].index(3200)
    assert only["measured"][at]
    assert not only["measured"][-1]
    assert only["low"][at] < only["difference"][at] < only["high"][at] < 0
    assert only["probability_better"][at] > 0.99
    ratio = only["data_equivalent"]
    assert ratio["low"][at] < 0.5 ** (1 / 0.4) * 1.1 < 1.3 * ratio["high"][at]
    needed = result["target"]["curves"]
    exact = (2.0 / 0.03) ** (1 / 0.4)
    assert 0.6 * exact < needed["scratch"]["size"]["value"] < 1.7 * exact
    assert needed["tuned"]["probability_of_fewer"] > 0.9
    assert result["configuration"]["paired"] is True
    assert result["environment"]["device"]
    # The same command gives the same numbers, as JSON alone.
    code, out, err = lcjax("compare", *arguments, "--json", "--force")
    assert (code, err) == (0, "")
    assert json.loads(out)["comparisons"] == result["comparisons"]
    # Another baseline is another configuration, which does not replace the first unasked.
    code, _, err = lcjax("compare", *arguments, "--baseline", "tuned")
    assert code == 1
    assert "--force" in err


def test_wrong_inputs_are_refused_in_one_line(lcjax, tmp_path, files):
    percent = tmp_path / "percent.csv"
    percent.write_text("size,error\n100,31\n200,24\n400,20\n")
    away = tmp_path / "away.csv"
    away.write_text("size,error\n100000,0.02\n200000,0.01\n")
    output = ("--output", tmp_path / "results")
    for arguments, message in (
        ((files[0],), "at least two curves, got 1"),
        ((files[0], percent), "look like percentages and fractions: use one unit"),
        ((files[0], away), "have no sizes in common"),
        ((*files, "--baseline", "none"), "There is no curve 'none' to be the baseline; the curves are scratch, tuned"),
        ((*files, "--target", "error<=5"), "The target 5 is above 1"),
        ((*files, "--guess", "0"), "--guess must be worse than the best possible error, 0, got 0"),
        ((files[0], tmp_path / "absent.csv"), "No file"),
    ):
        code, _, err = lcjax("compare", *arguments, *output)
        assert code == 1, arguments
        assert err.count("\n") == 1
        assert message in err
