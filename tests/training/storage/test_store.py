"""The folder of a sweep: resumption, refusal and repair."""

import dataclasses
import errno
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.files import read_checked, write_checked
from lcjax.training import Budget, Execution
from tests.training import tiny_store

KEEP = np.array([True, False, True, False, True, False])
ARRAYS = ("status", "steps", "recorded_step", "train_loss", "train_error", "validation_error", "test_error", "wrong")


def assert_equal(actual, expected):
    for name in (*ARRAYS, "validation_wrong", "orders"):
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name))
    for a, e in zip(jax.tree.leaves(actual.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_array_equal(a, e)
    assert actual.executions == expected.executions


@pytest.fixture(scope="module")
def expected(data, table):
    return lc.sweep(jax.random.key(3), data, table, keep=KEEP, execution=Execution("vmap", 2))


class Interrupt:
    """Raise Ctrl-C after `count` runs have ended."""

    def __init__(self, after):
        self.after = after

    def __call__(self, progress):
        if progress.ended >= self.after:
            raise KeyboardInterrupt


def interrupted(key, data, table, folder, after=2):
    with pytest.raises(KeyboardInterrupt):
        lc.sweep(
            key, data, table, keep=KEEP, execution=Execution("vmap", 2), folder=folder, on_progress=Interrupt(after)
        )


def test_an_interrupted_sweep_resumes(data, table, expected, key, tmp_path):
    interrupted(key, data, table, tmp_path)
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 2
    events = []
    result = lc.sweep(key, data, table, keep=KEEP, folder=tmp_path, on_progress=events.append)
    assert events[0].resumed == 200
    assert events[0].restored == 2
    assert events[-1].done == events[-1].total == 600
    assert_equal(result, expected)
    lines = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert sorted(line["run"] for line in lines) == list(range(6))
    assert_equal(lc.sweep(key, data, table, keep=KEEP, folder=tmp_path), expected)  # nothing left to train


@pytest.mark.parametrize(
    "execution",
    [
        Execution("vmap", 4),
        pytest.param(Execution("map", 2), marks=pytest.mark.slow),
        pytest.param(Execution("step", 1), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_unfinished_runs_resume_from_their_checkpoints(data, program, key, tmp_path, monkeypatch, execution):
    """A sweep stopped between two chunks, before any run has ended, gives the same table and repeats no step."""
    monkeypatch.setattr("lcjax.training.storage.checkpoints.SECONDS", 0.0)
    monkeypatch.setattr("lcjax.training.storage.checkpoints.SHARE", 1e9)
    budget = Budget(steps=100, records=20, patience=12)
    columns = {"size": np.array([60, 240, 20]), "seed": np.array([0, 7, 3]), "learning_rate": np.full(3, 0.1)}
    table = lc.Runs((dataclasses.replace(program, budget=budget),), np.zeros(3, int), columns)
    keep = np.ones(3, bool)
    whole = lc.sweep(key, data, table, keep=keep, execution=execution)

    def stop(progress):
        if progress.done >= 45:
            assert progress.ended == 0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lc.sweep(key, data, table, keep=keep, execution=execution, folder=tmp_path, on_progress=stop)
    assert (tmp_path / "running" / "0").is_dir()
    events = []
    result = lc.sweep(key, data, table, keep=keep, folder=tmp_path, on_progress=events.append)
    assert events[0].done > 0
    assert events[0].ended == 0
    assert_equal(result, whole)
    assert not (tmp_path / "running" / "0").exists()


def test_a_damaged_checkpoint_is_reported_and_its_runs_restart(data, table, expected, key, tmp_path, monkeypatch):
    monkeypatch.setattr("lcjax.training.storage.checkpoints.SECONDS", 0.0)
    monkeypatch.setattr("lcjax.training.storage.checkpoints.SHARE", 1e9)
    interrupted(key, data, table, tmp_path, after=1)
    for file in (tmp_path / "running" / "0").rglob("*"):
        if file.is_file():
            file.write_bytes(b"?")
    with pytest.warns(UserWarning, match="its unfinished runs restart"):
        result = lc.sweep(key, data, table, keep=KEEP, folder=tmp_path)
    assert_equal(result, expected)


def test_the_manifest_is_there_before_the_first_step(data, table, key, tmp_path):
    interrupted(key, data, table, tmp_path, after=0)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["executions"] == [
        {"type": "lcjax:Execution", "mode": "vmap", "width": 2, "threads": 1, "plain": False}
    ]
    assert manifest["data"] == data.fingerprint()
    assert manifest["runs"]["programs"][0]["model"]["type"] == "lcjax:MLP"
    assert manifest["environment"]["versions"]["jax"] == jax.__version__


@pytest.mark.parametrize("damage", ["cut", "noise", "middle"])
def test_a_damaged_line_is_dropped_and_its_run_repeated(data, table, expected, key, tmp_path, damage):
    lc.sweep(key, data, table, keep=KEEP, execution=Execution("vmap", 2), folder=tmp_path)
    lines = (tmp_path / "runs.jsonl").read_bytes()
    if damage == "cut":
        lines = lines[:-40]
    elif damage == "noise":
        lines += b"\x00\xff\x00"
    else:
        lines = lines.replace(b'"status":0', b'"status":', 1)
    (tmp_path / "runs.jsonl").write_bytes(lines)
    with pytest.warns(UserWarning, match=r"runs.jsonl, line \d"):
        result = lc.sweep(key, data, table, keep=KEEP, folder=tmp_path)
    assert_equal(result, expected)
    assert_equal(lc.sweep(key, data, table, keep=KEEP, folder=tmp_path), expected)


def test_lost_variables_are_trained_again(data, table, expected, key, tmp_path):
    lc.sweep(key, data, table, keep=KEEP, execution=Execution("vmap", 2), folder=tmp_path)
    (tmp_path / "variables" / "000002.npz").write_bytes(b"PK")
    with pytest.warns(UserWarning, match="its run is trained again"):
        assert_equal(lc.sweep(key, data, table, keep=KEEP, folder=tmp_path), expected)


@pytest.fixture(scope="module")
def trained(data, table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    lc.sweep(jax.random.key(3), data, table, keep=KEEP, execution=Execution("vmap", 2), folder=folder)
    return folder


@pytest.fixture
def finished(trained, tmp_path):
    """Return the folder of a finished sweep."""
    return shutil.copytree(trained, tmp_path / "runs")


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_exchanged_variables_and_repeated_lines_are_noticed(data, table, expected, key, finished):
    first, second = (finished / "variables" / f"{row:06d}.npz" for row in (0, 2))
    contents = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(contents)
    lines = (finished / "runs.jsonl").read_bytes().splitlines(keepends=True)
    (finished / "runs.jsonl").write_bytes(b"".join([*lines, lines[-1]]))
    with pytest.warns(UserWarning, match="its run is trained again") as warned:
        assert_equal(lc.sweep(key, data, table, keep=KEEP, folder=finished), expected)
    messages = [str(warning.message) for warning in warned]
    assert len(messages) == 3
    assert sum("it is not the file that run" in message for message in messages) == 2
    assert sum("has an earlier line" in message for message in messages) == 1
    assert_equal(lc.sweep(key, data, table, keep=KEEP, folder=finished), expected)  # without a warning


def test_lines_without_their_manifest_and_those_of_another_sweep_are_refused(data, table, key, finished):
    before = contents(finished)
    manifest = (finished / "manifest.json").read_text()
    (finished / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"runs has runs\.jsonl but no manifest\.json, .*: restore the manifest, or"):
        lc.sweep(key, data, table, keep=KEEP, folder=finished)
    assert not (finished / "manifest.json").exists()
    other = finished.with_name("other")
    with pytest.raises(KeyboardInterrupt):
        lc.sweep(jax.random.key(4), data, table, keep=KEEP, folder=other, on_progress=Interrupt(0))
    shutil.copy(finished / "runs.jsonl", other)
    with pytest.raises(ValueError, match=r"runs\.jsonl, line 1 holds a run of another sweep, .* Move the file to"):
        lc.sweep(jax.random.key(4), data, table, keep=KEEP, folder=other)
    (finished / "manifest.json").write_text(manifest)
    assert {path: before[path] for path in before} == contents(finished)


@pytest.mark.parametrize(
    "name", ["lock", "lock-1", "manifest.json", "runs.jsonl", "runs-1.jsonl", "variables", "running", "running/0"]
)
def test_nothing_is_written_through_a_link(data, table, key, tmp_path, name):
    outside, folder = tmp_path / "outside", tmp_path / "runs"
    link = folder / name
    link.parent.mkdir(parents=True)
    outside.write_text("mine")
    link.symlink_to(outside)
    with pytest.raises(ValueError, match=rf"{link} is a symbolic link, and the files .*: replace it by its target"):
        lc.sweep(key, data, table, folder=folder)
    assert outside.read_text() == "mine"
    assert not [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def test_a_finished_folder_on_a_read_only_disk_is_read(data, table, expected, key, finished, monkeypatch):
    before, opened = contents(finished), os.open

    def refuse(path, flags, *arguments, **options):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and str(path).startswith(str(finished)):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return opened(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert_equal(lc.sweep(key, data, table, keep=KEEP, folder=finished), expected)
    assert contents(finished) == before
    (finished / "runs.jsonl").write_bytes(b"".join(before[finished / "runs.jsonl"].splitlines(keepends=True)[:-1]))
    with pytest.raises(OSError, match=r"runs is not writable, and 1 of its 6 runs are left: use a copy of it"):
        lc.sweep(key, data, table, keep=KEEP, folder=finished)
    (finished / "new").mkdir()
    with pytest.raises(OSError, match=r"new is not writable: use another folder"):
        lc.sweep(key, data, table, keep=KEEP, folder=finished / "new")


def test_precision_is_part_of_the_identity(data, table, key, finished):
    with (
        jax.default_matmul_precision("float32"),
        pytest.raises(
            ValueError, match=r"differs in settings\.default_matmul_precision \(None there, float32 now\)\. Use another"
        ),
    ):
        lc.sweep(key, data, table, keep=KEEP, folder=finished)
    with jax.enable_x64(True), pytest.raises(ValueError, match=r"settings\.enable_x64 \(False there, True now\)"):
        lc.sweep(key, data, table, keep=KEEP, folder=finished)


def test_another_version_is_reported_and_one_that_may_compute_otherwise_is_refused(
    data, table, expected, key, finished
):
    manifest = read_checked(finished / "manifest.json")
    major, minor, patch = jax.version.__version_info__[:3]

    def start(version):
        manifest["environment"]["versions"]["jax"] = version
        write_checked(finished / "manifest.json", manifest)
        with pytest.warns(UserWarning, match=rf"runs was started with jax {version}; this is jax {jax.__version__}\.$"):
            assert_equal(lc.sweep(key, data, table, keep=KEEP, folder=finished), expected)

    start(f"{major}.{minor + 1}.{patch}")
    (finished / "runs.jsonl").unlink()
    with pytest.raises(ValueError, match=r"started with jax .*, and 6 of its 6 runs are left; this is jax .* Finish"):
        lc.sweep(key, data, table, keep=KEEP, folder=finished)
    start(f"{major}.{minor}.{patch + 1}")


def test_another_sweep_is_refused(data, table, key, tmp_path):
    interrupted(key, data, table, tmp_path, after=0)
    other = lc.Runs(table.programs, table.program, {**table.columns, "size": table.columns["size"] + 0})
    other.columns["size"][0] = 21

    def run(key=key, data=data, runs=table, **change):
        lc.sweep(key, data, runs, **{"keep": KEEP, "folder": tmp_path, **change})

    with pytest.raises(ValueError, match="holds another sweep: it differs in runs"):
        run(runs=other)
    with pytest.raises(ValueError, match="differs in data"):
        run(data=data.without_test())
    with pytest.raises(ValueError, match="differs in key, keep"):
        run(key=jax.random.key(4), keep=~KEEP)
    with pytest.raises(ValueError, match="differs in initial"):
        run(initial=[{"params": {"head": {"bias": np.ones(3, np.float32)}}}] * 6)
    with pytest.raises(ValueError, match="was started with execution vmap:2; got map:1"):
        run(execution=Execution("map", 1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read: Expecting value"),
        ("[]", "cannot be read: it is not a JSON object"),
        ('{"form": ["vmap:2"]}', "is not the manifest of a sweep: use another folder"),
        ('{"identity": {}}', "is not the manifest of a sweep: use another folder"),
        ("[" * 100_000, "cannot be read: .* nested too deeply: restore it, or use another folder"),
    ],
    ids=["empty", "list", "other", "no identity", "nested"],
)
def test_a_manifest_of_something_else_is_refused(data, table, key, tmp_path, content, message):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match=rf"manifest\.json {message}"):
        lc.sweep(key, data, table, folder=tmp_path)
    assert (tmp_path / "manifest.json").read_text() == content


def test_an_older_format_is_refused(data, table, key, tmp_path):
    interrupted(key, data, table, tmp_path, after=0)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["format"] == 3
    del manifest["checksum"]
    manifest["format"] = 2
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"is in format 2, but this version reads 3: use another folder, or finish it"):
        lc.sweep(key, data, table, keep=KEEP, folder=tmp_path)


def test_a_committed_folder_resumes_after_modules_have_moved(tmp_path):
    """No run is trained again: the lines are unchanged, and the result is read from them."""
    shutil.copytree(tiny_store.FOLDER, tmp_path, dirs_exist_ok=True)
    result, lines = tiny_store.train(tmp_path)
    for name, found in (("images", result), ("lines", lines)):
        committed = (tiny_store.FOLDER / name / "runs.jsonl").read_bytes()
        assert (tmp_path / name / "runs.jsonl").read_bytes() == committed
        losses = [json.loads(line)["train_loss"] for line in committed.splitlines()]
        np.testing.assert_array_equal(found.train_loss, losses)
    assert len(jax.tree.leaves(result.params)) == 4


USERS = """
import flax.linen as nn
import lcjax as lc

WIDTH = {width}

def loss(outputs, targets):
    return {factor} * lc.cross_entropy(outputs, targets)

class Net(nn.Module):
    classes: int = 3

    def setup(self):
        self.hidden, self.head = nn.Dense(WIDTH), nn.Dense(self.classes)

    def features(self, inputs, *, train=False):
        return self.hidden(inputs)

    def __call__(self, inputs, *, train=False):
        return self.head(self.features(inputs, train=train))
"""


def test_a_user_s_own_code_is_compared_by_source_and_shapes(data, table, program, key, tmp_path):
    def run(factor, width):
        path = tmp_path / f"users_{factor}_{width}.py"
        path.write_text(USERS.format(factor=factor, width=width))
        spec = importlib.util.spec_from_file_location("users", path)
        users = importlib.util.module_from_spec(spec)
        sys.modules["users"] = users  # where the source of a class is looked up
        spec.loader.exec_module(users)
        own = dataclasses.replace(program, model=users.Net(), objective=users.loss, budget=Budget(steps=4))
        events = []
        runs = dataclasses.replace(table.rows([0]), programs=(own,))
        lc.sweep(key, data, runs, folder=tmp_path / "kept", execution=Execution("vmap", 2), on_progress=events.append)
        return events

    try:
        assert run(1, 8)
        assert not run(1, 8)  # found
        with pytest.raises(ValueError, match=r"differs in runs\.programs\[0\]\.objective \(the code of loss, or what"):
            run(2, 8)
        with pytest.raises(ValueError, match=r"differs in runs\.programs\[0\]\.model\.type \(.*\), parameters\. Use"):
            run(1, 9)
    finally:
        del sys.modules["users"]


def test_a_folder_is_one_process_s_at_a_time(data, table, key, tmp_path):
    def again(progress):
        with pytest.raises(ValueError, match=r"Another process is training into .*: wait, or use another folder"):
            lc.sweep(key, data, table, keep=KEEP, folder=tmp_path)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lc.sweep(key, data, table, keep=KEEP, execution=Execution("vmap", 2), folder=tmp_path, on_progress=again)
    lc.sweep(key, data, table, keep=KEEP, folder=tmp_path)  # free again


def test_the_table_is_columns(expected, table):
    columns = expected.table()
    assert {len(column) for column in columns.values()} == {6}
    np.testing.assert_array_equal(columns["size"], table.columns["size"])
    np.testing.assert_array_equal(columns["test_error"], expected.test_error)
    np.testing.assert_array_equal(columns["scored_step"], expected.steps)


def test_a_failed_run_is_not_repeated(data, table, key, tmp_path):
    runs = lc.Runs(table.programs, table.program[:2], {n: c[:2].astype(float) for n, c in table.columns.items()})
    runs.columns["size"], runs.columns["seed"] = np.array([20, 60]), np.array([0, 0])
    runs.columns["learning_rate"][0] = 1e30
    first = lc.sweep(key, data, runs, folder=tmp_path)
    second = lc.sweep(key, data, runs, folder=tmp_path)
    np.testing.assert_array_equal(second.status, [1, 0])
    assert_equal(second, first)


@pytest.mark.slow
def test_a_killed_process_loses_no_finished_run(tmp_path):
    """After SIGKILL at any moment all lines are complete, and the sweep ends with the table of an undisturbed one."""
    script = textwrap.dedent("""
        import sys, jax, optax, numpy as np, lcjax as lc
        from lcjax.training import Budget, cosine, epochs
        inputs = np.random.default_rng(0).normal(size=(200, 6)).astype("float32")
        examples = lc.Examples(inputs, (inputs[:, 0] * inputs[:, 1] > 0).astype("int32"))
        data = lc.Data(examples, examples, examples, classes=2)
        mlp, budget = lc.models.MLP((16,), 2), Budget(steps=300)
        program = lc.Program(mlp, lc.cross_entropy, optax.adam, cosine, 16, budget, epochs)
        w = 40
        columns = {"size": np.full(w, 100), "seed": np.arange(w), "learning_rate": np.full(w, 0.01)}
        runs = lc.Runs((program,), np.zeros(w, int), columns)
        print("ready", flush=True)
        result = lc.sweep(
            jax.random.key(0), data, runs, keep=np.ones(w, bool), folder=sys.argv[1],
            execution=lc.training.Execution("vmap", 4),
        )
        digest = [float(np.sum(leaf)) for leaf in jax.tree.leaves(result.params)]
        print("sum", repr(sum(digest)), result.wrong.sum(), flush=True)
    """)
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}

    def start(folder):
        return subprocess.Popen(
            [sys.executable, "-c", script, folder], stdout=subprocess.PIPE, text=True, env=environment
        )

    for wait in (0.3, 1.0):
        process = start(tmp_path / "killed")
        lines = tmp_path / "killed" / "runs.jsonl"
        have = lines.read_text().count("\n") if lines.exists() else 0
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if lines.exists() and lines.read_text().count("\n") > have:
                break
            time.sleep(0.01)
        time.sleep(wait / 10)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    whole = start(tmp_path / "whole").communicate(timeout=240)[0]
    resumed = start(tmp_path / "killed").communicate(timeout=240)[0]
    assert "sum" in whole
    assert resumed == whole
