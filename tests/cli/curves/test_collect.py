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
    assert lcjax(*arguments)[0] == 1  # not unasked
    assert lcjax(arguments[0], "--resume", *arguments[1:])[0] == 0
    more = ["collect", "--sizes", "100,200", "--repeats", "2", "--output", tmp_path / "out", "--examples"]
    code, _, err = lcjax(*more, "300", *train)
    assert code == 1
    assert "holds result.json of another configuration, without --examples=300" in err
    grown = ["collect", "--resume", "--sizes", "100", "--repeats", "3", "--output", tmp_path / "out", *train]
    assert lcjax(*grown)[0] == 0
    assert (tmp_path / "log.txt").read_text() == "100 0\n100 1\n100 2\n"


def test_a_dry_run_counts_trainings_and_writes_nothing(lcjax, tmp_path, train):
    sizes = ["--sizes", "100,200", "--repeats", "2"]
    code, out, err = lcjax("collect", *sizes, "--dry-run", "--output", tmp_path / "out", *train)
    assert (code, err) == (0, "")
    assert out.startswith("Dry run: 4 trainings.\n")
    assert "Time: not known before the first training" in out
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "log.txt").exists()
    code, out, _ = lcjax("collect", *sizes, "--dry-run", "--json", "--output", tmp_path / "out", *train)
    assert json.loads(out)["dry_run"]["trainings"] == 4


def test_quiet_prints_nothing(lcjax, tmp_path, train):
    code, out, err = lcjax("collect", "--sizes", "100", "--repeats", "1", "-q", "--output", tmp_path / "out", *train)
    assert (code, out, err) == (0, "", "")
    report = (tmp_path / "out" / "report.html").read_text()
    assert "1 training at one size: a forecast needs at least two." in report
    assert "lcjax collect --sizes 100 --repeats 1 -q" in report


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


SBATCH = """#!/bin/bash
# Runs the script on standard input in this machine's processes, in place of Slurm.
script=$(cat)
for word in "$@"; do
  case $word in
    --array=*) tasks=${word#--array=};;
    --dependency=*) [ "$word" = --dependency=afterany:4711 ] || exit 1;;
  esac
done
if [ -z "$tasks" ]; then exec bash -c "$script"; fi
for task in $(seq "${tasks%-*}" "${tasks#*-}"); do SLURM_ARRAY_TASK_ID=$task bash -c "$script" >&2 & done
wait
echo 4711
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Slurm runs on Linux")
def test_an_array_job_trains_in_tasks_and_gathers(lcjax, tmp_path, train):
    out = tmp_path / "a folder"
    code, script, _ = lcjax("collect", "--array", "--sizes", "100,200", "--repeats", "1", "--output", out, *train)
    assert code == 0
    assert not out.exists()
    (tmp_path / "sbatch").write_text(SBATCH)
    (tmp_path / "sbatch").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash"], input=script, env=environment, capture_output=True, text=True, check=True)
    assert "Mean of each metric" in done.stdout
    assert sorted((tmp_path / "log.txt").read_text().splitlines()) == ["100 0", "200 0"]
    assert len([*(out / "trainings").glob("trainings-*.jsonl")]) == 2
    assert json.loads((out / "result.json").read_text())["measurements"]["size"] == [100, 200]


@pytest.mark.slow
def test_a_budget_chooses_the_sizes(lcjax, tmp_path, train):
    options = ["--budget", "40 trainings", "--examples", "20000", "--target", "error<=.06", "--output", tmp_path / "o"]
    code, out, err = lcjax("collect", *options, *train)
    assert code == 0, err
    assert "The interval is narrow enough: the ratio of its limits is 1." in out
    result = json.loads((tmp_path / "o" / "result.json").read_text())
    answer = result["curves"][0]["size_for_error"]
    assert answer["high"] / answer["low"] <= 2
    assert answer["low"] < (2 / 0.06) ** 2.5 < answer["high"]
    assert max(result["measurements"]["size"]) <= 20_000
    assert result["measurements"]["ending"].startswith("The interval is narrow enough")


def test_groups_and_files_of_metrics(lcjax, tmp_path):
    (tmp_path / "groups").write_text("".join(f"site{i // 4}\n" for i in range(40)))
    code = "import sys; n = len(open(sys.argv[1]).readlines()); open(sys.argv[2], 'w').write(f'error\\n{1 / n}\\n')"
    command = ["--", sys.executable, "-c", code, "{indices}", "{output}"]
    options = ["--sizes", "2,5", "--repeats", "1", "--groups", tmp_path / "groups", "--metrics-from", "{output}"]
    code, _, err = lcjax("collect", *options, "--output", tmp_path / "out", *command)
    assert code == 0, err
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["measurements"]["value"] == [[1 / 8], [1 / 20]]
    assert result["measurements"]["size"] == [2, 5]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 2, "Give --sizes, or --budget to have them chosen"),
        (["--budget", "2h"], 2, "--budget chooses the sizes that are informative about a target: give --target"),
        (["--budget", "2h", "--target", "error<=.1"], 1, "The largest size is not known: pass examples= or max_size="),
        (["--budget", "soon", "--max-size", "99", "--target", "error<=.1"], 2, "A budget is a time (2h, 30m, 90s)"),
        (
            ["--budget", "2h", "--target", "error<=.1", "--array"],
            2,
            "--array needs trainings that are known in advance",
        ),
        (["--sizes", "10", "--task", "7"], 2, "--task must be a number from 0 to 2, got 7"),
        (["--sizes", "10", "--order", "recent", "--examples", "20"], 1, "only one with {indices} can have groups or"),
        (["--sizes", "10", "--metrics-from", "{output}"], 1, "must both contain"),
        (["--sizes", "1k,2.5"], 2, "expected an integer from 1 to 2147483647, got '2.5'"),
        (["--sizes", "0"], 2, "'--sizes': expected an integer from 1"),
        (["--sizes", "10", "--target", "below 5 %"], 2, "expected METRIC<=NUMBER or METRIC>=NUMBER, got 'below 5 %'"),
        (
            ["--sizes", "10", "--target", "error<=.1", "--target-error", "0.1"],
            2,
            "--target or --target-error, not both",
        ),
        (["--sizes", "10", "--metric", "f1"], 1, "No training reports 'f1'; the metrics are auc, epochs, error"),
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
    assert err.splitlines()[-1] == "Interrupted. Repeat the command to resume; finished trainings are kept."
    for pid in pids.read_text().split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
