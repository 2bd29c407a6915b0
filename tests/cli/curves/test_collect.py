"""`lcjax collect`: a script of the user's, its metrics, resumption, and a line for what goes wrong."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest

SCRIPT = """
import json, sys
n, seed = int(sys.argv[1]), int(sys.argv[2])
open(sys.argv[3], "a").write(f"{n} {seed}\\n")
print("loading ...")
print(json.dumps({"error": 2 * n**-0.4 * (1 + 0.01 * seed), "auc": 1 - n**-0.5, "epochs": 3}))
"""


@pytest.fixture
def train(tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)
    return ["--", sys.executable, tmp_path / "train.py", "{size}", "{seed}", tmp_path / "log.txt"]


def test_metrics_are_tabulated_and_a_repeated_command_trains_nothing_again(lcjax, tmp_path, train):
    arguments = ["collect", "--sizes", "100", "--repeats", "2", "--output", tmp_path / "out", *train]
    code, out, _ = lcjax(*arguments)
    assert code == 0
    assert "Mean of each metric" in out
    assert "0.3186" in out
    with (tmp_path / "out" / "measurements.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["size"], row["repeat"], row["metric"]) for row in rows[:3]] == [
        ("100", "0", "auc"), ("100", "0", "epochs"), ("100", "0", "error"),
    ]  # fmt: skip
    assert (tmp_path / "log.txt").read_text() == "100 0\n100 1\n"
    assert lcjax(*arguments)[0] == 0
    more = ["collect", "--sizes", "100,200", "--repeats", "2", "--output", tmp_path / "out", "--examples"]
    code, _, err = lcjax(*more, "300", *train)
    assert code == 1
    assert "holds result.json of another configuration, without --examples=300" in err
    grown = ["collect", "--sizes", "100", "--repeats", "3", "--output", tmp_path / "out", *train]
    assert lcjax(*grown)[0] == 0
    assert (tmp_path / "log.txt").read_text() == "100 0\n100 1\n100 2\n"


@pytest.mark.slow
def test_a_collection_ends_with_the_forecast(lcjax, tmp_path, train):
    options = ["--sizes", "100,200,400,800,1600", "--jobs", "3", "--target", "auc>=0.985", "--output", tmp_path / "out"]
    code, out, _ = lcjax("collect", *options, *train)
    assert code == 0
    assert "Auc, measured and then forecast" in out
    assert "Auc 0.985:" in out
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    (curve,) = result["curves"]
    assert curve["target_auc"] == 0.985
    assert 0.7 < curve["size_for_error"]["value"] / (1 / 0.015) ** 2 < 1.4
    assert result["measurements"]["metrics"] == ["auc", "epochs", "error"]
    assert (tmp_path / "out" / "curve.png").stat().st_size > 0
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 15


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--sizes", "0"], 2, "'--sizes': expected an integer from 1"),
        (["--sizes", "10", "--target", "below 5 %"], 2, "expected METRIC<=NUMBER or METRIC>=NUMBER, got 'below 5 %'"),
        (
            ["--sizes", "10", "--target", "error<=.1", "--target-error", "0.1"],
            2,
            "--target or --target-error, not both",
        ),
        (["--sizes", "10", "--metric", "f1"], 1, "reports auc, epochs, error, but not 'f1'"),
        (["--sizes", "10", "--metric", "epochs"], 1, "'epochs' is not a known metric: give its best possible value"),
        (
            ["--sizes", "10,20", "--examples", "15"],
            1,
            "A size must be a whole number from 1 to the 15 training examples",
        ),
        (["--sizes", "10,20", "--target", "auc<=0.9"], 1, "a larger auc is better; use auc>=0.9"),
        (["--sizes", "10,20", "--target", "auc>=1"], 1, "--target auc>=1 must be below the best possible auc, 1"),
    ],
)
def test_what_cannot_be_meant_is_one_line(lcjax, tmp_path, train, options, code, message):
    given, out, err = lcjax("collect", *options, "--output", tmp_path / "out", *train)
    assert (given, out) == (code, "")
    assert message in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("lcjax: ")


def test_a_script_that_fails_is_told_with_its_words(lcjax, tmp_path):
    command = [sys.executable, "-c", "import sys; sys.exit('no such data')", "{size}"]
    code, _, err = lcjax("collect", "--sizes", "10", "--output", tmp_path, "--", *command)
    assert code == 1
    assert "Every training failed; the first: size 10, repeat 0: " in err
    assert "ended with exit code 1: no such data" in err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interruption_ends_the_trainings(tmp_path, jobs):
    pids = tmp_path / "pids"
    script = f"import os, time; open({str(pids)!r}, 'a').write(str(os.getpid()) + '\\n'); time.sleep(300)"
    command = [sys.executable, "-m", "lcjax", "collect", "--sizes", "10,20", "--jobs", jobs, "--output", tmp_path / "o"]
    process = subprocess.Popen(
        [*command, "--", sys.executable, "-c", script, "{size}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not pids.exists() or len(pids.read_text().splitlines()) < int(jobs):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert time.monotonic() - started < 10
    assert err.splitlines()[-1] == "Interrupted. Repeat the command to resume; finished runs are kept."
    for pid in pids.read_text().split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
