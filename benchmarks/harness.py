"""Benchmark harness: competitors timed in alternation in one process, with JSON lines, a table and a plot.

Competitors are timed in turn over several rounds, so that other load on the machine affects all of them equally; the
ratio is the median over rounds of the ratio within a round.
"""

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from lcjax.provenance import environment

PEERS = ("faiss-cpu", "jaxkd", "torch", "torchquad", "vegas")


@dataclass(frozen=True)
class Case:
    """A problem and its competitors, the first ours, the others peers; each is a function without arguments.

    Attributes:
        name: name of the problem, with its sizes.
        runs: name of the competitor -> function that does all work once and returns a value for `block_until_ready`.
        flops: floating-point operations of the direct method, for the achieved rate.
        demands: name of a peer -> upper limit of our time divided by its time.
        facts: other numbers to print with the times (sizes, errors).
    """

    name: str
    runs: dict[str, Callable[[], Any]]
    flops: float | None = None
    demands: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def machine() -> dict[str, Any]:
    """Return device, processor, versions, commit, and the peak rate as measured by one large product."""
    host = environment(PEERS)
    processor = Path("/proc/cpuinfo")
    if processor.exists():
        names = [line.partition(":")[2].strip() for line in processor.open() if line.startswith("model name")]
        host["processor"] = next(iter(names), "")
    git = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {**host, "commit": git.stdout.strip(), "peak_gflops": round(peak() / 1e9, 1)}


def peak(n: int = 4096) -> float:
    """Return the rate of an n by n float32 product in operations per second, the reference for achieved rates."""
    x = jnp.ones((n, n), jnp.float32)
    product = jax.jit(lambda x: jnp.matmul(x, x, precision=jax.lax.Precision.HIGHEST))
    product(x).block_until_ready()
    return 2 * n**3 / min(_seconds(lambda: product(x)) for _ in range(5))


def run(cases: Iterable[Case], *, rounds: int = 5, output: Path | None = None) -> list[dict[str, Any]]:
    """Time every case and print one JSON line for each; append the lines to `output` if it is given."""
    host = machine()
    lines = []
    for case in cases:
        first = {name: _seconds(f) for name, f in case.runs.items()}
        times: dict[str, list[float]] = {name: [] for name in case.runs}
        for _ in range(rounds):
            for name, f in case.runs.items():
                times[name].append(_seconds(f))
        own, *peers = case.runs
        seconds = {name: statistics.median(t) for name, t in times.items()}
        line = {
            "case": case.name,
            "seconds": seconds,
            "first_call_seconds": first,
            "ratio": {
                peer: statistics.median(a / b for a, b in zip(times[own], times[peer], strict=True)) for peer in peers
            },
            "demand": case.demands,
            "rounds": rounds,
        }
        if case.flops:
            rate = case.flops / seconds[own] / 1e9
            line |= {"gflops": rate, "share_of_peak": rate / host["peak_gflops"]}
        line |= {**case.facts, **host}
        lines.append(line)
        print(json.dumps(line, default=float), flush=True)
        if output:
            output.parent.mkdir(parents=True, exist_ok=True)
            with output.open("a") as file:
                file.write(json.dumps(line, default=float) + "\n")
    return lines


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Format the lines as a Markdown table with one row for each peer of each case."""
    rows = [["case", "ours, s", "peer", "peer, s", "ours / peer", "required", "GFLOP/s (share of peak)"], ["---"] * 7]
    for line in lines:
        own = next(iter(line["seconds"].values()))
        rate = f"{line['gflops']:.0f} ({line['share_of_peak']:.0%})" if "gflops" in line else ""
        if not line["ratio"]:
            rows.append([line["case"], f"{own:.3g}", "", "", "", "", rate])
        for peer, ratio in line["ratio"].items():
            demand = f"<= {line['demand'][peer]:g}" if peer in line["demand"] else ""
            rows.append(
                [line["case"], f"{own:.3g}", peer, f"{line['seconds'][peer]:.3g}", f"{ratio:.3g}", demand, rate]
            )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def plot(lines: Sequence[dict[str, Any]], path: Path) -> None:
    """Plot our time divided by each peer's, by case, with the required ratios as bars, on a logarithmic axis."""
    from matplotlib.figure import Figure

    lines = [line for line in lines if line["ratio"]]
    figure = Figure(figsize=(9, 1.2 + 0.28 * len(lines)), layout="constrained")
    axes = figure.subplots()
    for peer in dict.fromkeys(peer for line in lines for peer in line["ratio"]):
        place = [(line["ratio"][peer], row) for row, line in enumerate(lines) if peer in line["ratio"]]
        (drawn,) = axes.plot(*zip(*place, strict=True), "o", label=peer)
        for row, line in enumerate(lines):
            if peer in line["demand"]:
                axes.plot(line["demand"][peer], row, "|", color=drawn.get_color(), markersize=14, markeredgewidth=2)
    axes.axvline(1, color="0.7", linewidth=1, zorder=0)
    axes.set(xscale="log", xlabel="our time / the peer's (bar: required)", yticks=range(len(lines)))
    axes.set_yticklabels([line["case"] for line in lines])
    axes.invert_yaxis()
    axes.grid(axis="y", color="0.9")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=150)


def main(suites: dict[str, Callable[[], Iterable[Case]]], description: str) -> None:
    """Run the command line of a benchmark: suites, number of rounds, output file."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("suite", nargs="*", help=f"One or more of {', '.join(suites)} [default: all].")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--output",
        type=Path,
        help="File to append JSON lines to; a table (.md) and a plot (.png) are written next to it.",
    )
    options = parser.parse_args()
    unknown = [suite for suite in options.suite if suite not in suites]
    if unknown:
        parser.error(f"unknown suite {unknown[0]!r}; the suites are {', '.join(suites)}")
    lines = []
    for suite in options.suite or suites:
        lines += run(suites[suite](), rounds=options.rounds, output=options.output)
    if options.output:
        every = [json.loads(line) for line in options.output.read_text().splitlines()]
        lines = list({line["case"]: line for line in every}.values())  # the latest of each name
        options.output.with_suffix(".md").write_text(table(lines) + "\n")
        plot(lines, options.output.with_suffix(".png"))
    print(table(lines))


def _seconds(f: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(f())
    return time.perf_counter() - start
