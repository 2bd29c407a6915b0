"""`lcjax fit` from the command line: tables, files, JSON, and a one-line message for every wrong input."""

import csv
import json
import xml.etree.ElementTree

import numpy as np
import pytest

from lcjax.text import printable

CHEAP = ["--form", "last_value", "--form", "power_law", "--draws", "50"]
SIZE = 100 * 2 ** np.arange(7)


@pytest.fixture(scope="module")
def curve(tmp_path_factory):
    path = tmp_path_factory.mktemp("fit") / "curve.csv"
    noise = np.exp(0.01 * np.random.default_rng(0).normal(size=SIZE.size))
    rows = [f"{n},{e:.5f}" for n, e in zip(SIZE, 2.0 * SIZE**-0.4 * noise, strict=True)]
    path.write_text("\n".join(["size,error", *rows[::-1]]))
    return path


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """Write two curves in the layout of the public benchmark."""
    rows = ["Domain,Task,Model,Seen Examples,Loss,Training"]
    for domain, task, scale, exponent in (("IC", "birds", 2.0, -0.3), ("LM", "words", 6.0, -0.05)):
        rows += [f"{domain},{task},ViT,{n},{scale * n**exponent:.6f},{int(n <= SIZE[4])}" for n in SIZE]
    path = tmp_path_factory.mktemp("fit") / "benchmark.csv"
    path.write_text("\n".join(rows))
    return path


def test_one_curve_is_reported_in_tables_files_and_numbers(lcjax, tmp_path, curve):
    arguments = (curve, *CHEAP, "--target-error", 0.05, "--output", tmp_path)
    code, out, err = lcjax("fit", *arguments)
    assert (code, err) == (0, "")
    for text in ("Error, measured and then forecast", "power_law", "exponent", "90 % interval", "Measure next:"):
        assert text in out
    assert "Error 0.05:" in out
    for name in ("fit.json", "fit.png", "fit.svg", "report.html"):
        assert (tmp_path / name).stat().st_size > 0
    told = json.loads((tmp_path / "fit.json").read_text())
    (only,) = told["curves"]
    exact = (2.0 / 0.05) ** (1 / 0.4)
    assert 0.7 * exact < only["size_for_error"]["value"] < 1.4 * exact
    assert only["size_for_error"]["low"] < only["size_for_error"]["value"]
    assert 0 <= only["size_for_error"]["never"] < 0.5
    assert told["configuration"]["seed"] == 0
    assert told["environment"]["device"]
    # The same command gives the same numbers, as JSON alone.
    code, out, err = lcjax("fit", *arguments, "--json", "--force")
    assert (code, err) == (0, "")
    assert json.loads(out)["curves"] == told["curves"]


@pytest.mark.slow
def test_the_benchmark_layout_is_scored(lcjax, tmp_path, benchmark):
    code, out, err = lcjax("fit", benchmark, *CHEAP, "--output", tmp_path)
    assert (code, err) == (0, "")
    assert "sqrt(mean((log prediction - log error)^2))" in out
    assert (tmp_path / "coverage.png").stat().st_size > 0
    scores = json.loads((tmp_path / "fit.json").read_text())["scores"]
    assert set(scores["mean"]) == set(scores["coverage"]) == {"all", "IC", "LM"}
    # Noiseless power laws: the forecast is exact up to the remaining weight of the last value.
    assert scores["mean"]["all"] < 0.02 < scores["last_value"]["all"]
    assert len(scores["score"]) == 2


@pytest.mark.slow
def test_a_metric_is_reported_in_its_own_unit(lcjax, tmp_path):
    path = tmp_path / "accuracy.csv"
    path.write_text("\n".join(["size,accuracy", *(f"{n},{1 - 2.0 * n**-0.4:.6f}" for n in SIZE)]))
    arguments = ("--metric", "accuracy", "--target", 0.95, "--guess", 0.1, *CHEAP, "--output", tmp_path)
    code, out, err = lcjax("fit", path, *arguments)
    assert (code, err) == (0, "")
    assert "Accuracy, measured and then forecast" in out
    assert "Accuracy 0.95:" in out
    stored = json.loads((tmp_path / "fit.json").read_text())
    assert stored["configuration"]["target"] == "accuracy>=0.95"
    (only,) = stored["curves"]
    exact = 1 - 2.0 * np.array(only["forecast"]["size"]) ** -0.4
    np.testing.assert_allclose(only["accuracy"], 1 - 2.0 * SIZE**-0.4, atol=1e-6)
    np.testing.assert_allclose(only["forecast"]["accuracy"], exact, atol=0.005)
    low, high = np.array(only["forecast"]["low"]), np.array(only["forecast"]["high"])
    assert np.all((low < only["forecast"]["accuracy"]) & (only["forecast"]["accuracy"] < high))
    assert only["target_accuracy"] == 0.95
    assert 0.7 < only["size_for_error"]["value"] / (2.0 / 0.05) ** (1 / 0.4) < 1.4


@pytest.mark.slow
def test_fine_tuning_adds_its_family(lcjax, tmp_path, curve):
    arguments = ("--fine-tuning", "--draws", "50", "--output", tmp_path)
    code, _, err = lcjax("fit", curve, *arguments)
    assert (code, err) == (0, "")
    (only,) = json.loads((tmp_path / "fit.json").read_text())["curves"]
    assert "fine_tuning" in only["families"]


HOSTILE = ["[/bad]", "[link=http://a]$\\frac{$[/link]", "_<script>:smile:", "=cmd()"]


@pytest.mark.slow
def test_names_are_shown_as_they_are(lcjax, tmp_path):
    path = tmp_path / "[bold]$x$.csv"
    with path.open("w", newline="") as file:
        rows = [[name, size, 2.0 * size**-0.4] for name in HOSTILE for size in SIZE]
        csv.writer(file).writerows([["curve", "size", "error"], *rows])
    arguments = (path, "--form", "last_value", "--draws", 5, "--unit", "[/i] $y$\x1b[1m", "--target-error", 0.1)
    code, out, err = lcjax("fit", *arguments, "--output", tmp_path / "[/red]")
    assert (code, err) == (0, "")
    shown = [printable(name) for name in HOSTILE]
    table = [line for line in out.splitlines() if "last_value" in line]
    assert [line.split("  ")[0].strip() for line in (line.lstrip() for line in table)] == shown
    assert "[/i] $y$\\x1b[1m for 0.1" in out
    assert f"Results: {tmp_path}/[/red]/fit.json" in out
    assert "\x1b" not in out
    assert [curve["curve"] for curve in json.loads((tmp_path / "[/red]" / "fit.json").read_text())["curves"]] == HOSTILE
    figure = xml.etree.ElementTree.parse(tmp_path / "[/red]" / "fit.svg").getroot()
    texts = {"".join(one.itertext()).strip() for one in figure.iter("{http://www.w3.org/2000/svg}text")}
    assert texts >= set(shown)
    assert "training [/i] $y$\\x1b[1m" in texts


@pytest.mark.slow
def test_many_curves_and_many_sizes_give_short_tables_and_small_figures(lcjax, tmp_path):
    last = ["--form", "last_value", "--draws", 5]
    size = np.unique(np.round(np.geomspace(10, 1e9, 6000)))
    noise = np.exp(0.02 * np.random.default_rng(0).normal(size=size.size))
    long, many = tmp_path / "long.csv", tmp_path / "many.csv"
    long.write_text(
        "\n".join(["size,error", *(f"{n:.0f},{e:.5g}" for n, e in zip(size, size**-0.2 * noise, strict=True))])
    )
    rows = [f"c{i},{n},{2.0 * n**-0.4:.5g}" for i in range(120) for n in SIZE[:4]]
    many.write_text("\n".join(["curve,size,error", *rows]))
    code, out, err = lcjax("fit", long, *last, "--output", tmp_path / "long")
    assert (code, err) == (0, "")
    assert (tmp_path / "long" / "fit.svg").stat().st_size < 300_000
    assert len(out.splitlines()) < 100
    code, out, err = lcjax("fit", many, *last, "--output", tmp_path / "many")
    assert (code, err) == (0, "")
    assert "The first 100 of 120 curves; fit.json has all." in out
    assert len(json.loads((tmp_path / "many" / "fit.json").read_text())["curves"]) == 120


def test_columns_and_rows_are_chosen(lcjax, tmp_path):
    path = tmp_path / "runs.csv"
    rows = [f"{n},{0.9 - n**-0.3:.4f},{n**-0.3:.4f},{net}" for net in ("a", "b") for n in (100, 200, 400, 800)]
    path.write_text("\n".join(["points,score,other,net", *rows]))
    columns = ("--size-column", "points", "--metric-column", "score", "--metric", "accuracy")
    cheap = ("--form", "last_value", "--draws", 5, "--output", tmp_path / "out")
    code, out, err = lcjax("fit", path, *columns, "--select", "net=b", "--target-error", 0.15, *cheap)
    assert (code, err) == (0, "")
    assert "Read a curve of the metric accuracy: 4 sizes, 100 to 800 examples." in out
    (only,) = json.loads((tmp_path / "out" / "fit.json").read_text())["curves"]
    assert only["target_accuracy"] == pytest.approx(0.85)
    code, out, err = lcjax("fit", path, "--select", "net", *cheap)
    assert (code, out) == (2, "")
    assert "--select must be NAME=VALUE, such as model=mlp, got 'net'" in err


def test_what_was_read_comes_first(lcjax, tmp_path):
    path = tmp_path / "long.csv"
    rows = [f"{n},{metric},{n**-0.3:.4f}" for n in (100, 200, 400, 800) for metric in ("error", "loss")]
    path.write_text("\n".join(["n_train,metric,value", *rows]))
    cheap = ("--form", "last_value", "--draws", 5, "--output", tmp_path / "out", "--force")
    _, out, _ = lcjax("fit", path, *cheap)
    lines = [line for line in out.splitlines() if line.strip()]
    assert lines[0].startswith("Read a curve of the metric error")
    assert lines[1:3] == [
        "The column 'n_train' is used as size.",
        "The metric error is read; pass --metric for one of loss.",
    ]
    for chosen in (("--metric", "error"), ("--target", "error<=.1")):
        _, out, _ = lcjax("fit", path, *chosen, *cheap)
        assert "is used as size" in out
        assert "The metric error is read" not in out


@pytest.mark.slow
def test_pooled_curves_may_rise_unless_all_do(lcjax, tmp_path):
    path = tmp_path / "classes.csv"
    rows = [f"{n},{name},{e * n**p}" for n in SIZE[:4] for name, e, p in (("cat", 2, -0.3), ("owl", 0.2, 0.1))]
    path.write_text("\n".join(["size,class,error", *rows]))
    arguments = (path, "--curve-column", "class", "--draws", 50, "--output", tmp_path / "out")
    code, _, err = lcjax("fit", *arguments)
    assert code == 1
    assert "'owl' rises with size" in err
    code, out, _ = lcjax("fit", *arguments, "--pool")
    assert code == 0
    assert "The error rises with size for 1 of 2 curves: owl." in out


def bad_inputs(tmp_path):
    def written(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    good = written("good.csv", "size,error\n100,0.4\n200,0.3\n400,0.2\n")
    yield "missing file", [tmp_path / "none.csv"], "none.csv"
    yield "missing column", [written("a.csv", "size,score\n1,0.9\n")], "pass --metric-column 'score' --metric NAME"
    yield (
        "accuracy given as error",
        [written("b.csv", "size,error\n1,0.5\n2,0.7\n4,0.8\n")],
        "If this is an accuracy, pass --metric accuracy, which forecasts 1 - accuracy",
    )
    yield "too few sizes for the form", [good, "--form", "mmf"], "3 sizes; at least 4"
    yield "one size", [written("c.csv", "size,error\n100,0.4\n")], "1 size; at least 2"
    yield "size of zero", [written("d.csv", "size,error\n0,0.4\n")], "positive number"
    yield "negative error", [written("e.csv", "size,error\n10,-0.4\n")], "0 or positive"
    yield "no error at all", [written("f.csv", "size,error\n10,nan\n20,\n")], "no row with an error"
    yield "above guessing", [good, "--guess", "0.1"], "nowhere below the chance error"
    yield "unknown form", [good, "--form", "cubic"], "'cubic'"
    yield "target of zero", [good, "--target-error", "0"], "--target-error 0 must be above"
    accuracy = written("g.csv", "size,accuracy\n1,0.7\n2,0.8\n4,0.85\n")
    yield "unknown metric", [accuracy, "--metric", "precision@1"], "'precision@1' is not a known metric"
    yield "target beyond the best", [accuracy, "--metric", "accuracy", "--target", "1.2"], "--target 1.2 must be below"
    yield "chance beyond the best", [accuracy, "--metric", "accuracy", "--guess", "1"], "--guess must be below"
    yield "no column of the metric", [accuracy, "--metric", "f1"], "no column f1"
    percent = written("h.csv", "size,accuracy\n1,70\n2,80\n4,85\n")
    yield "accuracy in percent", [percent, "--metric", "accuracy"], "the best possible value, 1; pass --best 100"
    points = written("i.csv", "size,accuracy\n1,68.3\n2,80\n4,92.08\n")
    fraction = [points, "--metric", "accuracy", "--best", "100", "--target", "0.95"]
    yield (
        "fraction as target of percentages",
        fraction,
        "The target 0.95 is a fraction, but the values of accuracy are 68.3 to 92.1",
    )
    yield "tiny error", [written("j.csv", "size,error\n10,3e-35\n")], "j.csv, line 2: the error 3e-35 is outside"
    yield "huge error", [written("k.csv", "size,error\n10,1\n20,3e99\n")], "k.csv, line 3: the error 3e99 is outside"
    yield "huge size", [written("l.csv", "size,error\n1e36,0.1\n")], "l.csv, line 2: the size 1e36 is outside"
    half = written("m.csv", "size,error,test_count\n10,0.1,10.5\n")
    yield "half a test example", [half], "test_count must be a whole number at least 1, got '10.5'"
    models = written("n.csv", "size,error,net\n10,0.5,a\n20,0.4,a\n10,0.6,b\n20,0.5,b\n")
    rises = written("p.csv", "size,error\n1,0.5\n2,0.7\n4,0.8\n")
    yield (
        "a named metric that rises",
        [rises, "--metric", "error"],
        "error should fall. To forecast it nevertheless, pa",
    )
    yield "several curves or repeats", [models], "(a, b) may name several curves. Pass --curve-column net"
    yield "no such column", [good, "--size-column", "n"], "--size-column: it has no column 'n'; its columns are size, e"
    nothing = written("o.csv", "size,error,net\n10,,a\n20,,a\n10,0.6,b\n20,0.5,b\n")
    yield "no value in the selection", [nothing, "--select", "net=a"], "fit among those with net=a; a row needs"
    yield "no such value", [models, "--select", "net=c"], "no row has net=c; its values are a, b"
    yield "fine-tuning among forms", [good, "--fine-tuning", "--form", "mmf"], "fine_tuning"


def test_every_bad_input_is_one_line(lcjax, tmp_path):
    for what, arguments, expected in bad_inputs(tmp_path):
        code, out, err = lcjax("fit", *arguments, "--output", tmp_path / "out")
        assert code == 1, what
        assert out == "", what
        assert err.count("\n") == 1, (what, err)
        assert expected in err, (what, err)
