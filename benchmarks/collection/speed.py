"""One network, collected in a sweep and by a command for each training: wall-clock and processor time."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optax

import lcjax as lc
from benchmarks.collection.train import BATCH, RATE, WIDTH
from lcjax.training import Budget, constant, with_replacement

SIZES, REPEATS = (75, 150, 300, 600, 1100), 3
SCRIPT = Path(__file__).with_name("train.py")


def compare(steps: int) -> dict[str, Any]:
    """Collect the digits both ways, each in fresh processes, and return times and errors.

    Both include imports and compilation. The commands share a cache of compiled programs, the sweep has none.

    Args:
        steps: optimizer steps of every training.
    """
    data = lc.load_data("digits")
    with tempfile.TemporaryDirectory() as folder:
        splits = {"": data.train, "test_": data.test}
        arrays: dict[str, Any] = {}
        for name, split in splits.items():
            assert split is not None
            inputs = np.asarray(split.inputs, np.float32).reshape(len(split.targets), -1)
            arrays[f"{name}inputs"] = (inputs - np.ravel(data.offset)) * np.ravel(data.scale)
            arrays[f"{name}targets"] = np.asarray(split.targets)
        path = Path(folder, "data.npz")
        np.savez(path, **arrays)
        environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": folder}
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        words = (sys.executable, str(SCRIPT), str(path), "{indices}", "{seed}", str(steps))
        command = [sys.executable, "-m", "benchmarks.collection.speed"]
        commands = _time([*command, "commands", json.dumps(words)], environment)
        environment.pop("JAX_COMPILATION_CACHE_DIR")
        swept = _time([*command, "sweep", str(steps)], environment)
    return {
        "case": f"MLP 64-{WIDTH}-10 on the digits, {len(SIZES)} sizes x {REPEATS} repeats, {steps} steps",
        "sweep": swept,
        "commands": commands,
        "ratio": {name: commands[name] / swept[name] for name in ("seconds", "processor_seconds")},
    }


def _time(command: Sequence[str], environment: dict[str, str]) -> dict[str, Any]:
    """Run a collection in a process of its own; return its times and mean errors."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "processor_seconds": processor, "error": json.loads(done.stdout)}


def main() -> None:
    """Collect one way, and print the mean error at each size."""
    kind, setting = sys.argv[1:]
    data = lc.load_data("digits")
    labels = np.asarray(data.train.targets)
    if kind == "commands":
        table = lc.collect(lc.studies.Command(tuple(json.loads(setting))), SIZES, repeats=REPEATS, labels=labels)
    else:
        budget = Budget(steps=int(setting), records=1)
        net = lc.models.MLP((WIDTH,))
        program = lc.Program(net, lc.cross_entropy, optax.adam, constant, BATCH, budget, with_replacement)
        table = lc.collect(lc.studies.JaxTrainer(program, data, RATE), SIZES, repeats=REPEATS)
    if table.failures:
        raise SystemExit(table.failures[0])
    print(json.dumps(np.asarray(table.curves("error").curve.error[0]).round(4).tolist()))


if __name__ == "__main__":
    main()
