"""One harness: cases run side by side in one process, alternating; JSON lines, a table, a plot.

Times of competitors are taken in turn, several rounds, so that what else the machine does disturbs all alike; the
ratio is the median over the rounds of the ratio within a round.
"""

import argparse
import importlib.metadata
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Case:
    """One problem and those who solve it: the first is ours, the others are peers; each is a function of nothing.

    Attributes:
        name: what is timed, with its sizes.
        runs: name of the competitor -> function that does the whole work once and returns what JAX can wait for.
        flops: floating-point operations of the plain method, for the achieved rate.
        facts: numbers to print beside the times (sizes, errors).
    """

    name: str
    runs: dict[str, Callable[[], Any]]
    flops: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def machine() -> dict[str, Any]:
    """The device, its peak as measured by one large product, and the versions."""
    device = jax.devices()[0]
    versions = {}
    for package in ("jax", "jaxlib", "numpy", "scipy", "faiss-cpu", "torch", "scikit-learn", "jaxkd", "vegas"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "device": device.device_kind if device.platform != "cpu" else platform.processor() or "cpu",
        "platform": device.platform,
        "count": jax.device_count(),
        "peak_gflops": round(peak() / 1e9, 1),
        "versions": versions,
    }


def peak(n: int = 2048) -> float:
    """Rate of an n by n float32 product, operations a second: the yardstick for achieved rates."""
    x = jnp.ones((n, n), jnp.float32)
    product = jax.jit(lambda x: jnp.matmul(x, x, precision=jax.lax.Precision.HIGHEST))
    product(x).block_until_ready()
    return 2 * n**3 / min(_seconds(lambda: product(x)) for _ in range(5))


def run(cases: Iterable[Case], *, rounds: int = 5, output: Path | None = None) -> list[dict[str, Any]]:
    """Time every case and print one JSON line each; append them to a file where one is given."""
    host = machine()
    lines = []
    for case in cases:
        compile_seconds = {name: _seconds(f) for name, f in case.runs.items()}
        times: dict[str, list[float]] = {name: [] for name in case.runs}
        for _ in range(rounds):
            for name, f in case.runs.items():
                times[name].append(_seconds(f))
        own = next(iter(case.runs))
        seconds = {name: statistics.median(t) for name, t in times.items()}
        line = {
            "case": case.name,
            "seconds": seconds,
            "first_call_seconds": compile_seconds,
            "ratio": {
                name: statistics.median(a / b for a, b in zip(times[own], times[name], strict=True))
                for name in case.runs
                if name != own
            },
            **({"gflops": case.flops / seconds[own] / 1e9} if case.flops else {}),
            **({"share_of_peak": case.flops / seconds[own] / 1e9 / host["peak_gflops"]} if case.flops else {}),
            **case.facts,
            **host,
        }
        lines.append(line)
        print(json.dumps(line, default=float), flush=True)
        if output:
            output.parent.mkdir(parents=True, exist_ok=True)
            with output.open("a") as file:
                file.write(json.dumps(line, default=float) + "\n")
    return lines


def table(lines: Sequence[dict[str, Any]]) -> str:
    """The lines as a Markdown table: seconds of ours, then our time divided by each peer's."""
    peers = sorted({name for line in lines for name in line["ratio"]})
    rows = [["case", "seconds", *(f"ours / {peer}" for peer in peers), "GFLOP/s"]]
    for line in lines:
        own = next(iter(line["seconds"].values()))
        ratios = [f"{line['ratio'][peer]:.2f}" if peer in line["ratio"] else "" for peer in peers]
        rows.append([line["case"], f"{own:.4g}", *ratios, f"{line['gflops']:.0f}" if "gflops" in line else ""])
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def plot(lines: Sequence[dict[str, Any]], path: Path) -> None:
    """Bars of seconds by case and competitor, logarithmic, as an image."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1 + 0.45 * len(lines)), layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(name for line in lines for name in line["seconds"]))
    height = 0.8 / len(names)
    for i, name in enumerate(names):
        place = [(row + i * height, line["seconds"][name]) for row, line in enumerate(lines) if name in line["seconds"]]
        axes.barh([p for p, _ in place], [s for _, s in place], height, label=name)
    axes.set(xscale="log", xlabel="seconds", yticks=np.arange(len(lines)) + 0.4, yticklabels=[x["case"] for x in lines])
    axes.invert_yaxis()
    axes.legend()
    figure.savefig(path)


def main(suites: dict[str, Callable[[], Iterable[Case]]], description: str) -> None:
    """Command line of a benchmark: which suites, how many rounds, where to write."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("suite", nargs="*", help=f"one or more of {', '.join(suites)}; all if none")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="JSON lines are appended to this file, a plot is written beside it")
    options = parser.parse_args()
    lines = []
    for suite in options.suite or suites:
        lines += run(suites[suite](), rounds=options.rounds, output=options.output)
    print(table(lines))
    if options.output:
        plot(lines, options.output.with_suffix(".svg"))


def _seconds(f: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(f())
    return time.perf_counter() - start
