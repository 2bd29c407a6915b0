"""The same table on one device, on eight, and by two processes; kills, and resumption with other numbers of devices."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lcjax as lc
from lcjax.training.concurrency import Execution
from lcjax.training.execution.heuristics import choose_execution
from lcjax.training.execution.multihost import deal
from lcjax.training.storage import checkpoints
from tests.problems import environment_with_devices

ROOT = Path(__file__).parents[3]
W = 12
CURVES = ("status", "steps", "recorded_step", "train_loss", "train_error", "validation_loss", "validation_error")


def task():
    """Return data with three overlapping classes."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(459, 5)).astype(np.float32)
    targets = np.digitize(inputs[:, 0] + 0.3 * generator.normal(size=459), [-0.5, 0.5]).astype(np.int32)
    parts = [lc.Examples(inputs[place], targets[place]) for place in np.split(np.arange(459), [240, 339])]
    return lc.Data(*parts, classes=3)


def runs_of(w=W):
    """Return runs with three sizes and four seeds."""
    from lcjax.training import Budget, Program, Runs, cosine, momentum, with_replacement

    budget = Budget(steps=100, records=2)
    program = Program(lc.models.MLP((12,), 3), lc.cross_entropy, momentum, cosine, 16, budget, with_replacement)
    columns = {"size": np.array([20, 60, 240] * 4), "seed": np.arange(W) // 3, "learning_rate": np.full(W, 0.1)}
    return Runs((program,), np.zeros(W, int), columns).rows(np.arange(w))


PAIRS = Execution("vmap", 2)


def sweep(folder=None, execution=PAIRS, **options):
    return lc.sweep(
        jax.random.key(3), task(), runs_of(), keep=np.ones(W, bool), execution=execution, folder=folder, **options
    )


def save(result, path):
    arrays = {name: np.asarray(getattr(result, name)) for name in (*CURVES, "test_error", "wrong", "validation_wrong")}
    weights = {f"w{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(result.params))}
    np.savez(path, **arrays, **weights)


def keep_checkpoints_at_once():
    checkpoints.SECONDS, checkpoints.SHARE = 0.0, 1e9


def on_eight_devices(folder):
    """Run in the process with eight devices."""
    assert jax.device_count() == 8
    chosen = sweep(execution=None)
    assert chosen.executions == (Execution("vmap", 2),)
    save(chosen, folder / "chosen.npz")
    keep_checkpoints_at_once()

    def stop(progress):
        if progress.done >= 400:
            raise KeyboardInterrupt

    try:
        sweep(folder / "stopped", execution=Execution("map", 1), on_progress=stop)
    except KeyboardInterrupt:
        return
    raise AssertionError("not interrupted")


def in_a_job(folder, mode):
    """Run in each of two processes."""
    assert jax.process_count() == 2
    if mode == "slow":  # to be killed while it waits after a checkpoint, before the next step
        keep_checkpoints_at_once()
        save_checkpoint = checkpoints.Checkpoints.save

        def save_and_wait(self, *arguments):
            save_checkpoint(self, *arguments)
            time.sleep(0.3)

        checkpoints.Checkpoints.save = save_and_wait
        sweep(folder / "killed")
        return
    odd = runs_of(w=2 + jax.process_index())
    with pytest.raises(ValueError, match="process 1 differs from process 0 in runs"):
        lc.sweep(jax.random.key(3), task(), odd)
    (folder / "taken").mkdir(exist_ok=True)
    with (folder / "taken" / "lock").open("w") as lock:
        if jax.process_index() == 0:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="Another process is training into"):  # reported in both processes
            sweep(folder / "taken")
    events = []
    save(sweep(folder / "begun", on_progress=events.append), folder / f"job-{jax.process_index()}.npz")
    assert events[0].restored == 2
    # The first report precedes compilation; in the next one, one process has resumed the runs in the slots.
    assert events[1].done > events[1].resumed or jax.process_index() == 1

    def fail(progress):
        if jax.process_index() == 1:
            raise OSError("No space left on device")

    error, told = (OSError, "No space left") if jax.process_index() == 1 else (RuntimeError, "Process 1 failed.*space")
    with pytest.raises(error, match=told):
        sweep(on_progress=fail)


if __name__ == "__main__":
    if sys.argv[1] == "devices":
        on_eight_devices(Path(sys.argv[2]))
    else:
        address, index = sys.argv[3:]
        jax.distributed.initialize(address, 2, int(index))
        in_a_job(Path(sys.argv[2]), sys.argv[1])
    print("done")


def start(*arguments, devices=1):
    environment = environment_with_devices(devices)
    command = [sys.executable, "-m", "tests.training.execution.test_sharded", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=ROOT
    )


def start_job(mode, folder):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    return [start(mode, folder, f"localhost:{port}", index) for index in range(2)]


def finish(process):
    told = process.communicate(timeout=240)[0]
    assert process.returncode == 0, told
    assert told.endswith("done\n")


def assert_saved(path, expected):
    save(expected, path.with_suffix(".expected.npz"))
    with np.load(path) as saved, np.load(path.with_suffix(".expected.npz")) as wanted:
        assert saved.files == wanted.files
        for name in saved.files:
            np.testing.assert_array_equal(saved[name], wanted[name], err_msg=name)


@pytest.fixture(scope="module")
def expected():
    """Return the table of one process on one device."""
    return sweep()


def lines_of(folder):
    return [json.loads(line) for path in sorted(folder.glob("runs*.jsonl")) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_eight_devices_give_the_table_of_one(expected, tmp_path):
    """Tables agree bit for bit in the same execution and width, else to rounding; a folder resumes on one device."""
    finish(start("devices", tmp_path, devices=8))
    assert_saved(tmp_path / "chosen.npz", expected)
    alone = sweep(execution=None)
    assert alone.executions != expected.executions
    for a, e in zip(jax.tree.leaves(alone.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_allclose(a, e, atol=1e-6)
    assert (np.abs(alone.wrong.sum(1, dtype=int) - expected.wrong.sum(1, dtype=int)) <= 2).all()
    events = []
    resumed = sweep(tmp_path / "stopped", execution=None, on_progress=events.append)  # eight runs wait for one slot
    assert resumed.executions == (Execution("map", 1),)
    assert events[0].done >= 100
    assert events[0].ended == 0
    save(resumed, tmp_path / "resumed.npz")
    assert_saved(tmp_path / "resumed.npz", sweep(execution=Execution("map", 1)))


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not locked on Windows")
@pytest.mark.slow
def test_two_processes_give_the_table_of_one(expected, tmp_path, monkeypatch):
    """Both processes have the whole table, bit for bit; they resume where one process was stopped."""
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", 1e9)

    def stop(progress):
        if progress.ended >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path / "begun", on_progress=stop)
    assert list((tmp_path / "begun" / "running" / "0").iterdir())
    for process in start_job("job", tmp_path):
        finish(process)
    for index in range(2):
        assert_saved(tmp_path / f"job-{index}.npz", expected)
    assert sorted(line["run"] for line in lines_of(tmp_path / "begun")) == list(range(W))
    assert len((tmp_path / "begun" / "runs-1.jsonl").read_text().splitlines()) == 5
    assert not (tmp_path / "begun" / "running").exists()


@pytest.mark.slow
def test_a_killed_process_loses_no_finished_run(expected, tmp_path):
    """One of two is killed, the other finishes its share; then one process does the rest."""
    folder = tmp_path / "killed"
    job = start_job("slow", tmp_path)
    files = [folder / "runs.jsonl", folder / "runs-1.jsonl"]

    def has_begun():
        """Tell whether the newest checkpoint of process 1 holds steps of a run that has not ended."""
        path = folder / "running" / "0" / "0-1" / checkpoints.FILE
        if not path.exists():
            return False
        with np.load(path) as saved:
            lanes = json.loads(saved["lanes"].item())["lanes"]
        ended = {line["run"] for line in lines_of(folder)}
        return any(lane["step"] > 0 and lane["row"] not in ended for lane in lanes)

    def wait_for(condition):
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline
            assert job[0].poll() is None, job[0].communicate()[0]
            time.sleep(0.01)

    def lines_in(path):
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def stops_within_a_run():
        """Stop process 1, so that nothing ends while its files are read; let it go on where no run has begun."""
        job[1].send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, job[1].pid, os.WSTOPPED)
        if has_begun():
            return True
        job[1].send_signal(signal.SIGCONT)
        return False

    try:
        wait_for(lambda: lines_in(files[1]) >= 1)
        wait_for(stops_within_a_run)
        job[1].send_signal(signal.SIGKILL)
        wait_for(lambda: lines_in(files[0]) >= W // 2)
    finally:
        for process in job:
            process.kill()
            process.communicate()
    found = lines_of(folder)
    assert W // 2 < len(found) < W
    assert len(list(folder.glob("running/0/0-*"))) == 2
    events = []
    result = sweep(folder, execution=None, on_progress=events.append)
    assert events[0].restored == len(found)
    assert events[0].done > events[0].resumed
    save(result, tmp_path / "result.npz")
    assert_saved(tmp_path / "result.npz", expected)
    assert sorted(line["run"] for line in lines_of(folder)) == list(range(W))


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not locked on Windows")
def test_a_folder_of_a_job_that_lost_its_first_process_is_refused(tmp_path):
    import fcntl

    tmp_path.joinpath("lock-1").touch()
    with tmp_path.joinpath("lock-1").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="Another process is training into"):
            sweep(tmp_path)


@given(st.lists(st.lists(st.integers(1, 100), max_size=8), min_size=1, max_size=4), st.integers(1, 5))
def test_rows_are_dealt_evenly(tables, count):
    """Every process gets a run before any gets two, and no load exceeds the smallest by more than one run."""
    budget = np.array([steps for steps_of_one in tables for steps in steps_of_one] or [1])
    places = iter(range(len(budget)))
    rows = [[next(places) for _ in steps_of_one] for steps_of_one in tables]
    dealt = deal(rows, budget, count)
    assert sorted(dealt) == sorted(row for table in rows for row in table)
    loads = np.zeros(count, int)
    for row, process in dealt.items():
        loads[process] += budget[row]
    if dealt:
        assert loads.max() - loads.min() <= max(budget[row] for row in dealt)
    assert deal(rows, budget, count) == dealt


def test_the_width_is_that_of_each_device():
    shapes = {"kernel": jax.ShapeDtypeStruct((64, 32), np.dtype("float32"))}
    widths = [choose_execution(shapes, [1000] * 64, devices).width for devices in (2, 8, 100)]
    assert widths == [16, 8, 1]


def test_one_default_device_is_the_only_one(monkeypatch):
    from lcjax.training.execution import sharded as placement

    devices = 4 * jax.devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: devices)
    assert len(placement.local_devices()) == 4
    with jax.default_device(jax.devices()[0]):
        assert len(placement.local_devices()) == 1
