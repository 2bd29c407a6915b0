"""`lcjax predict`: one-line messages for wrong inputs, complete or absent results, interruption and resumption."""

import gzip
import json
import os
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.reports.problems import Tree

QUICK = ["--steps", "30", "--seeds", "1"]


def write_idx(folder, images=60, labels=60, classes=10, side=8, cut=0):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        pixels = rng.integers(0, 256, (images, side, side), np.uint8)
        content = struct.pack(">IIII", 2051, images, side, side) + pixels.tobytes()
        with gzip.open(folder / f"{part}-images-idx3-ubyte.gz", "wb") as file:
            file.write(content[: len(content) - cut])
        numbers = (np.arange(labels) % classes).astype(np.uint8)
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(struct.pack(">II", 2049, labels) + numbers.tobytes())
    return folder


def write_npz(path, inputs, targets):
    np.savez(path, x_train=inputs, y_train=targets, x_test=inputs[:60], y_test=targets[:60])
    return path


@pytest.fixture
def blobs():
    rng = np.random.default_rng(0)
    targets = np.arange(400) % 4
    return rng.normal(size=(400, 6)).astype(np.float32) + 4 * targets[:, None], targets.astype(np.int32)


def bad_inputs(tmp_path, blobs):
    inputs, targets = blobs
    holed = inputs.copy()
    holed[3, 2] = np.nan
    pair = np.sign(inputs[:, :1]) * np.ones((1, 6), np.float32) * np.where(targets[:, None] < 2, 1, -1)
    blocked = tmp_path / "file"
    blocked.write_text("")
    yield "unknown data set", ["--data", "nope"], "digits"
    yield "missing IDX folder", ["--data", f"idx:{tmp_path}/none"], "none"
    yield "truncated IDX file", ["--data", f"idx:{write_idx(tmp_path / 'cut', cut=100)}"], "train-images"
    yield "different lengths", ["--data", f"idx:{write_idx(tmp_path / 'lengths', labels=59)}"], "59"
    garbage = write_idx(tmp_path / "garbage")
    (garbage / "train-images-idx3-ubyte.gz").write_bytes(b"not gzip at all")
    yield "unreadable IDX file", ["--data", f"idx:{garbage}"], "train-images"
    yield "one class only", ["--data", f"npz:{write_npz(tmp_path / 'one.npz', inputs, targets * 0)}"], "class"
    yield "nan", ["--data", f"npz:{write_npz(tmp_path / 'nan.npz', holed, targets)}"], "nan"
    yield "shard smaller than classes", ["--fractions", "0.001,0.1,1"], "classes"
    yield "fraction above one", ["--fractions", "0.1,0.2,1.5"], "1.5"
    yield "fraction of zero", ["--fractions", "0,0.1,0.2,1"], "0"
    yield "fractions that are no numbers", ["--fractions", "a,b"], "a,b"
    yield "nothing to fit", ["--fractions", "0.75,1"], "below 0.5"
    yield "dimension above the features", [*QUICK, "--dimension", "1000"], "1000"
    flat = write_npz(tmp_path / "flat.npz", pair, (pair[:, 0] > 0).astype(np.int32))
    yield "singular covariance", [*QUICK, "--data", f"npz:{flat}", "--dimension", "3"], "singular"
    table = write_npz(tmp_path / "table.npz", inputs, targets)
    yield "a table for a net for images", ["--data", f"npz:{table}", "--model", "lenet"], "LeNet requires images"
    yield "a table for the driving net", ["--data", f"npz:{table}", "--model", "driving"], "DrivingNet requires images"
    yield "unwritable folder", ["--output", blocked / "inside"], "--output"
    yield "TFDS without network", ["--data", "tfds:mnist"], "TFDS_DATA_DIR"


def test_wrong_input_gives_one_line_and_leaves_no_result(lcjax, tmp_path, blobs, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    # A machine with a network would download.
    monkeypatch.setattr("lcjax.data.readers.tfds._answers", lambda url: False)
    monkeypatch.chdir(tmp_path)
    for name, arguments, expected in bad_inputs(tmp_path, blobs):
        code, out, err = lcjax("predict", "--json", *arguments)
        assert code == 1 + ("expected" in err), name
        assert out == "", name
        assert err.startswith("lcjax: "), name
        assert err.count("\n") == 1, (name, err)
        assert expected.lower() in err.lower(), (name, err)
        assert not list(tmp_path.rglob("result.json")), name
        assert not list(tmp_path.rglob("prediction.json")), name


@pytest.mark.parametrize(("option", "value"), [
        ("--seeds", "0"), ("--margin", "-1"), ("--seed", str(2**64)), ("--epochs", "inf"), ("--target-error", "1"),
        ("--target-error", "0"),
    ],
)  # fmt: skip
def test_an_option_outside_its_range_is_refused(lcjax, option, value):
    code, _, err = lcjax("predict", option, value)
    assert code == 2
    assert option in err


@pytest.mark.slow
def test_a_table_with_real_targets_gets_a_perceptron(lcjax, tmp_path, blobs):
    data = write_npz(tmp_path / "real.npz", blobs[0], np.tanh(blobs[0][:, 0] - 6))
    arguments = [
        *QUICK,
        "--data",
        f"npz:{data}",
        "--tolerance",
        0.1,
        "--dimension",
        2,
        "--law",
        "hypercube",
        "--output",
        tmp_path / "out",
    ]
    code, out, _ = lcjax("predict", *arguments)
    assert code == 0
    assert "but the theory assumes zero" in " ".join(out.split())  # after 30 steps it is not
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["configuration"]["recipe"]["program"]["model"]["type"] == "lcjax:MLP"


@pytest.mark.slow
def test_the_answer_comes_first_and_an_unreachable_target_is_an_answer(lcjax, tmp_path):
    code, out, _ = lcjax("predict", *QUICK, "--dimension", 2, "--target-error", "1e-30", "--output", tmp_path)
    assert code == 0
    lines = [line for line in out.splitlines() if line]
    assert lines[1].startswith("Error 1e-30 on data like the test set: out of reach at any size")
    assert "fitted to the validation and test errors" in " ".join(" ".join(lines).split())
    result, before = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("result", "prediction"))
    page = Tree((tmp_path / "report.html").read_text())
    assert [lead for lead in lines[1:2] if any(lead in text for _, text in page.texts)]
    assert len(page.all("label")) >= 7 + 3  # every method can be switched off
    names = {"hypercube", "poisson", "hypercube_squared", "distances", "nearest_neighbor", "power_law", "forecast"}
    assert set(result["prediction"]["methods"]) == names  # both laws if none is named
    for file, split in ((before, "validation"), (result, "test")):
        assert file["size_for_error"]["status"] == "unreachable"
        assert file["size_for_error"]["value"] is None
        assert file["answer"]["split"] == split


@pytest.mark.slow
def test_groups_stay_together_and_their_shift_is_told(lcjax, tmp_path, blobs):
    """Groups that networks can recognize, by an input that tells the label in known groups only."""
    inputs, targets = blobs
    person = np.arange(400) // 4 % 20
    np.savez(tmp_path / "people.npz", inputs=inputs, targets=targets, person=person)
    options = ["--data", f"npz:{tmp_path / 'people.npz'}", "--groups", "person", "--dimension", 2, "--law", "poisson"]
    code, out, _ = lcjax("predict", *QUICK, *options, "--output", tmp_path / "out")
    assert code == 0
    assert "on new groups and" in " ".join(out.split())
    result = json.loads((tmp_path / "out" / "result.json").read_text())["prediction"]
    assert result["new_groups"]["shift"] == pytest.approx(result["new_groups"]["new"] - result["new_groups"]["known"])
    code, _, err = lcjax("predict", *QUICK, *options[:3], "nobody")
    assert code == 1
    assert "nobody" in err


def test_failure_to_write_the_result_is_one_line(monkeypatch, lcjax, tmp_path):
    """As on a full disk: no partial file remains."""

    def refuse(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", refuse)
    code, out, err = lcjax("predict", "--json", *QUICK, "--dimension", "2", "--output", tmp_path)
    assert (code, out) == (1, "")
    advice = "was not written. Free some space and repeat the command."
    assert err.splitlines()[-1] == f"lcjax: The disk is full: {tmp_path / 'command.json'} {advice}"
    assert not [path for path in tmp_path.rglob("*.json") if path.is_file()]


@pytest.mark.slow
def test_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path):
    """The kernel does not let any file grow beyond 20 kB, like a full disk."""
    results = tmp_path / "results"
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "from lcjax.__main__ import main\n"
        f"sys.argv = ['lcjax', 'predict', '--json', *{QUICK}, '--dimension', '2', '--output', {str(results)!r}]\n"
        "main()\n"
    )
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "programs")}  # they would be cut, too
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith("lcjax: ")
    assert len([line for line in done.stderr.splitlines() if "Traceback" in line]) == 0
    assert not (results / "result.json").exists()
    assert all(path.stat().st_size <= 20_000 for path in tmp_path.rglob("*") if path.is_file())
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


@pytest.mark.slow
def test_interrupt_ends_cleanly_and_the_same_command_resumes(tmp_path):
    command = [sys.executable, "-m", "lcjax", "predict", "--seeds", "2", "--dimension", "2", "--steps", "50"]
    command += ["--epochs", "30", "--fractions", "0.03125,0.0625,1", "--law", "hypercube", "--output", str(tmp_path)]

    def finished():
        return [line for path in tmp_path.rglob("runs.jsonl") for line in path.read_text().splitlines()]

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job and its children ignore SIGINT
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not finished() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "Repeat the command to resume" in err
    assert not (tmp_path / "result.json").exists()
    kept = finished()
    assert 0 < len(kept) < 8
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert finished()[: len(kept)] == kept
    assert len(finished()) == 8
    assert (tmp_path / "result.json").exists()
