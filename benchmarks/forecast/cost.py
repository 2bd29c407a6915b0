"""Cost of the forecaster: processor seconds a curve in batches, `vmap` against the batched call, and `lcjax fit`.

    python -m benchmarks.forecast.cost OUTPUT --curves 1000

The curves are synthetic classifier curves (`benchmarks.forecast.synthetic`). `lcjax fit` forecasts one of them in a new
process, with an empty cache folder (cold) and with that of the run before (warm), three times each. Times are medians
of wall-clock seconds, to be measured while nothing else runs; `load` is the machine's load average at the start.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.forecast.report import round_numbers
from benchmarks.forecast.synthetic import classifier
from lcjax.curves.forecast.forecast import forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.files import write_json
from lcjax.provenance import environment

__all__ = ["main", "sample_curves", "time_batches", "time_command"]

ROUNDS, TOGETHER, FAR = 3, 16, 4.0


def sample_curves(count: int) -> LearningCurve:
    """Sample curves up to their cuts, padded with nan."""
    drawn = [classifier(np.random.default_rng([5, i])) for i in range(count)]
    width = max(int(np.sum(curve.size <= curve.cut)) for curve in drawn)
    size, error = np.ones((count, width), np.float32), np.full((count, width), np.nan, np.float32)
    for i, curve in enumerate(drawn):
        early = curve.size <= curve.cut
        size[i, : early.sum()], error[i, : early.sum()] = curve.size[early], curve.error[early]
    return LearningCurve(size, error)


def time_batches(curves: LearningCurve) -> dict[str, float]:
    """Time all curves in one call, with a prediction of each, and 16 of them batched and under `vmap`."""
    size, error = np.asarray(curves.size), np.asarray(curves.error)
    key = jax.random.key(0)

    def predict(key: jax.Array, size: Any, error: Any) -> Any:
        ahead = forecast(key, LearningCurve(size, error), allow_rising=True)
        return ahead.predict(FAR * ahead.largest[..., None])

    keys = jax.random.split(key, TOGETHER)
    mapped = jax.jit(jax.vmap(predict))
    rows = jnp.asarray(size[:TOGETHER]), jnp.asarray(error[:TOGETHER])
    jax.block_until_ready(mapped(keys, *rows))
    predict(key, size[:2], error[:2])
    processor, wall = time.process_time(), time.perf_counter()
    predict(key, size, error)
    result = {
        "curves": len(size),
        "seconds": time.perf_counter() - wall,
        "processor_seconds_per_curve": (time.process_time() - processor) / len(size),
        "batched_16_seconds": _median(lambda: predict(key, size[:TOGETHER], error[:TOGETHER])),
        "vmap_16_seconds": _median(lambda: jax.block_until_ready(mapped(keys, *rows))),
    }
    return result | {"vmap_over_batched": result["vmap_16_seconds"] / result["batched_16_seconds"]}


def time_command(curves: LearningCurve) -> dict[str, float]:
    """Time `lcjax fit` of the first curve in new processes, with an empty and a filled cache folder."""
    size, error = np.asarray(curves.size)[0], np.asarray(curves.error)[0]
    times: dict[str, list[float]] = {"cold": [], "warm": []}
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "curve.csv"
        rows = [f"{x:.0f},{y}" for x, y in zip(size, error, strict=True) if np.isfinite(y)]
        table.write_text("\n".join(["size,error", *rows]) + "\n")
        for i in range(ROUNDS):
            cache = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
            for name, seconds in times.items():
                output = Path(folder) / f"{name}-{i}"
                command = [sys.executable, "-m", "lcjax", "fit", str(table), "--output", str(output)]
                begin = time.perf_counter()
                subprocess.run(
                    command, check=True, capture_output=True, env={**cache, "LCJAX_CACHE": f"{folder}/cache-{i}"}
                )
                seconds.append(time.perf_counter() - begin)
    return {f"{name}_seconds": float(np.median(seconds)) for name, seconds in times.items()}


def _median(function: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecast.cost")
    parser.add_argument("output", type=Path, help="Folder of the results.")
    parser.add_argument("--curves", type=int, default=1000, help="Curves in one call [default: 1000].")
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    curves = sample_curves(max(options.curves, TOGETHER))
    command = time_command(curves)
    result = {"environment": environment(), "load": load, "lcjax fit": command, "forecast": time_batches(curves)}
    write_json(options.output / "cost.json", round_numbers(result))
    print(json.dumps(round_numbers(result), indent=2))


if __name__ == "__main__":
    main()
