"""Sweeps compared with plain PyTorch loops: `python -m benchmarks.sweep [speed growth memory] --output FILE`.

Both train with batch size 128, drawn at random from a resident data set, with cross-entropy and SGD with momentum 0.9,
and are compared in model steps per second: optimizer steps of all networks together. Ours are the vectorized or mapped
steps of a sweep with the execution that it chooses, PyTorch's a plain loop over the steps of one network. Scoring is
excluded; "growth" times a complete call of `lc.sweep`, including start-up and scoring. The two alternate; the turns in
which other processes used the least processor time are kept, and that share is reported. Without PyTorch only lcjax is
timed.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import lcjax as lc
from benchmarks.harness import machine
from lcjax.training import Budget, constant, momentum, with_replacement
from lcjax.training.concurrency import Execution
from lcjax.training.execution import step as steps
from lcjax.training.execution.heuristics import choose_execution
from lcjax.training.execution.local import LocalExecutor
from lcjax.training.execution.slots import Slot
from lcjax.training.storage.run_state import Job

BATCH = 128
EXAMPLES = 4096
UNDISTURBED = 0.05  # largest fraction of the processor that other processes may use in a turn
LONGEST = 30.0  # seconds for the turns of a case

Line = dict[str, Any]
NETS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "64-32-10": (lc.models.MLP((32,)), (64,)),
    "784-50-10": (lc.models.MLP((50,)), (784,)),
    "LeNet": (lc.models.LeNet(), (28, 28)),
    "quick net": (lc.models.QuickNet(), (32, 32, 3)),
}
# network, runs, model steps per turn (ours, PyTorch's), required ratio, executions in addition to the default
SPEED: tuple[tuple[str, int, int, int, float, tuple[str, ...]], ...] = (
    ("64-32-10", 64, 12_800, 1600, 10.0, ("vmap:64", "vmap:64@2")),
    ("784-50-10", 64, 1920, 600, 4.0, ("vmap:4", "vmap:16", "vmap:16@2")),
    ("LeNet", 8, 96, 80, 1.2, ("map:1", "vmap:4@2")),
    ("quick net", 2, 12, 6, 1.0, ("step:2/plain", "step:1/plain")),
)


def data(shape: tuple[int, ...]) -> lc.Data:
    rng = np.random.default_rng(0)

    def split(n: int) -> lc.Examples:
        return lc.Examples(rng.integers(0, 256, (n, *shape)).astype(np.uint8), rng.integers(0, 10, n).astype(np.int32))

    return lc.Data(split(EXAMPLES), split(BATCH), None, offset=128.0, scale=1 / 64, classes=10)


def table(model: nn.Module, runs: int, count: int) -> lc.Runs:
    """Return a table of `runs` runs of `count` steps, each with its own seed and learning rate."""
    program = lc.Program(
        model, lc.cross_entropy, momentum, constant, BATCH, Budget(steps=count, records=1), with_replacement
    )
    columns = {
        "size": np.full(runs, EXAMPLES),
        "seed": np.arange(runs),
        "learning_rate": np.geomspace(1e-4, 1e-3, runs),
    }
    return lc.Runs((program,), np.zeros(runs, int), columns)


def execution_of(name: str, runs: int) -> str:
    model, shape = NETS[name]
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape)))
    return str(choose_execution(variables["params"], [1000] * runs))


def shuffled(width: int) -> jax.Array:
    """Draw an order of the examples for each slot."""
    return jnp.asarray(np.stack([np.random.default_rng(i).permutation(EXAMPLES) for i in range(width)]), jnp.int32)


def fill(executor: LocalExecutor, rate: float = 1e-3) -> Slot:
    """Return slots with one run for each order of the executor."""
    width, size = executor.orders.shape
    slots = None
    for i in range(width):
        columns = {"size": jnp.int32(size), "seed": jnp.int32(i), "learning_rate": jnp.float32(rate)}
        slot = executor.start(Job(i, 10**6, columns, order=i, initial={}, mask=None, keep=False))
        slots = executor.insert(slots, slot, i, width)
    assert slots is not None
    return slots


def train_slots(
    task: lc.Data, program: lc.Program, orders: jax.Array, spelled: str, model_steps: int
) -> Callable[[], Any]:
    """Return a function that trains one slot for each order."""
    executor = LocalExecutor(jax.random.key(0), task, orders, program, Execution.parse(spelled))
    slots, width = fill(executor), executor.execution.width

    def advance() -> Any:
        nonlocal slots
        slots = executor.advance(slots, np.full(width, model_steps // width, np.int32))
        return jax.block_until_ready(slots)

    return advance


def ours(name: str, spelled: str, model_steps: int) -> Callable[[], Any]:
    model, shape = NETS[name]
    program = table(model, 1, 10**6).programs[0]
    orders = shuffled(Execution.parse(spelled).width)
    return train_slots(jax.device_put(data(shape)), program, orders, spelled, model_steps)


def torch_net(name: str) -> Any:
    from torch import nn as layers

    relu, flat = layers.ReLU(), layers.Flatten()
    if name == "LeNet":
        return layers.Sequential(
            *(layers.Conv2d(1, 6, 5), layers.MaxPool2d(2), relu, layers.Conv2d(6, 16, 5), layers.MaxPool2d(2), relu),
            *(flat, layers.Linear(256, 120), relu, layers.Linear(120, 84), relu, layers.Linear(84, 10)),
        )
    if name == "quick net":
        return layers.Sequential(
            *(layers.Conv2d(3, 32, 5, padding=2), layers.MaxPool2d(3, 2, ceil_mode=True), relu),
            *(layers.Conv2d(32, 32, 5, padding=2), relu, layers.AvgPool2d(3, 2, ceil_mode=True)),
            *(layers.Conv2d(32, 64, 5, padding=2), relu, layers.AvgPool2d(3, 2, ceil_mode=True)),
            *(flat, layers.Linear(1024, 64), layers.Linear(64, 10)),
        )
    *widths, classes = map(int, name.split("-"))
    parts: list[Any] = [flat]
    for before, after in zip(widths, [*widths[1:], classes], strict=True):
        parts += [layers.Linear(before, after), relu]
    return layers.Sequential(*parts[:-1])


def theirs(name: str, count: int) -> Callable[[], Any]:
    """Return a function that trains `count` steps in a plain PyTorch loop; images have channels first."""
    import torch

    shape = NETS[name][1]
    split = data(shape).train
    inputs = (torch.from_numpy(np.asarray(split.inputs)).float() - 128) / 64
    inputs = inputs.movedim(-1, 1).contiguous() if len(shape) == 3 else inputs
    inputs = inputs[:, None] if len(shape) == 2 else inputs
    targets = torch.from_numpy(np.asarray(split.targets)).long()
    loss_of = torch.nn.CrossEntropyLoss()
    net = torch_net(name)
    optimizer = torch.optim.SGD(net.parameters(), 1e-3, momentum=0.9)

    def loop() -> Any:
        for _ in range(count):
            chosen = torch.randint(0, EXAMPLES, (BATCH,))
            optimizer.zero_grad()
            loss_of(net(inputs[chosen]), targets[chosen]).backward()
            optimizer.step()

    return loop


def in_turns(competitors: dict[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, list[float]], Line]:
    """Return the seconds of every competitor in the least disturbed turns, and how much they were disturbed."""
    for competitor in competitors.values():
        competitor()
    turns: list[tuple[float, dict[str, float]]] = []
    begin = time.perf_counter()
    while sum(share <= UNDISTURBED for share, _ in turns) < rounds:
        elsewhere, start, turn = _elsewhere(), time.perf_counter(), {}
        for name, competitor in competitors.items():
            before = time.perf_counter()
            competitor()
            turn[name] = time.perf_counter() - before
        turns.append(((_elsewhere() - elsewhere) / (time.perf_counter() - start) / (os.cpu_count() or 1), turn))
        if len(turns) >= rounds and time.perf_counter() - begin > LONGEST:
            break
    kept = sorted(turns, key=lambda turn: turn[0])[:rounds]
    facts = {"turns_kept": len(kept), "turns_made": len(turns), "processor_taken_by_others": [s for s, _ in kept]}
    return {name: [turn[name] for _, turn in kept] for name in competitors}, facts


def _elsewhere() -> float:
    """Return the processor seconds used by other processes since boot, or 0 without `/proc/stat`."""
    if not Path("/proc/stat").exists():
        return 0.0
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    own = os.times()
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK") - own.user - own.system


def speed(rounds: int) -> Iterable[Line]:
    for name, runs, own, peer, demand, others in SPEED:
        execution = execution_of(name, runs)
        competitors, counts = {"lcjax": ours(name, execution, own)}, {"lcjax": own}
        for other in others:
            if other != execution:
                competitors[other], counts[other] = ours(name, other, own), own
        if importlib.util.find_spec("torch") is not None:
            competitors["torch"], counts["torch"] = theirs(name, peer), peer
        yield compared(f"{name}, {runs} runs", execution, competitors, counts, rounds, demand)


def compared(
    case: str,
    execution: str,
    competitors: dict[str, Callable[[], Any]],
    counts: dict[str, int],
    rounds: int,
    demand: float | None,
) -> Line:
    """Return model steps per second of all competitors, given steps per turn, and the ratio of "lcjax" to "torch"."""
    seconds, facts = in_turns(competitors, rounds)
    rate = {who: [counts[who] / s for s in times] for who, times in seconds.items()}
    line: Line = {
        "case": case,
        "execution": execution,
        "model_steps_per_second": {who: statistics.median(values) for who, values in rate.items()},
        **facts,
    }
    if "torch" in rate:
        ratios = [a / b for a, b in zip(rate["lcjax"], rate["torch"], strict=True)]
        line |= {"ratio": statistics.median(ratios), "ratios": ratios, "demand": demand}
    return line


def growth(rounds: int) -> Iterable[Line]:
    """Time complete sweeps of different numbers of runs, in alternation."""
    model, shape = NETS["64-32-10"]
    task, numbers, count = data(shape), (64, 128, 256, 512), 300
    tables = {str(runs): table(model, runs, count) for runs in numbers}
    sweeps: dict[str, Callable[[], Any]] = {
        name: partial(lc.sweep, jax.random.key(0), task, rows) for name, rows in tables.items()
    }
    seconds, facts = in_turns(sweeps, rounds)
    for runs in numbers:
        median = statistics.median(seconds[str(runs)])
        yield {
            "case": f"whole sweep of 64-32-10, {runs} runs of {count} steps",
            "runs": runs,
            "seconds": median,
            "seconds_per_run": median / runs,
            "model_steps_per_second": {"lcjax": runs * count / median},
            **facts,
        }


def memory(rounds: int) -> Iterable[Line]:
    """Yield the temporary memory of a step of all slots: the compiler's estimate, and the peak in a new process."""
    for name, width in (
        *(("64-32-10", 16), ("64-32-10", 64), ("784-50-10", 4), ("784-50-10", 32), ("784-50-10", 128)),
        *(("LeNet", 8), ("LeNet", 32), ("quick net", 4)),
    ):
        command = [sys.executable, "-m", "benchmarks.sweep", "memory-of", name, str(width)]
        yield json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def memory_of(name: str, width: int) -> Line:
    """Return the bytes of one vectorized step, without those of the process's first step (threads, runtime code)."""

    def prepared(name: str, width: int) -> tuple[Any, ...]:
        model, shape = NETS[name]
        task, program = jax.device_put(data(shape)), table(model, 1, 10).programs[0]
        executor = LocalExecutor(jax.random.key(0), task, shuffled(width), program, Execution("vmap", width))
        arguments = fill(executor), task, executor.orders, jnp.ones(1, jnp.int32)
        step = partial(steps.advance, program=program, mapped=False)
        return jax.jit(step, donate_argnums=0).lower(*arguments).compile(), arguments

    def grown(compiled: Any, arguments: tuple[Any, ...]) -> int:
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # reset the peak
        jax.block_until_ready(compiled(*arguments))
        return _status("VmHWM") - before

    small, large = prepared("64-32-10", 1), prepared(name, width)
    once, measured = grown(*small), grown(*large)
    analysis = large[0].memory_analysis()
    return {
        "case": f"memory of {name}, {width} slots",
        "predicted_bytes": analysis.temp_size_in_bytes,
        "measured_bytes": measured,
        "ratio": measured / analysis.temp_size_in_bytes,
        "once_bytes": once,
    }


def _status(field: str) -> int:
    """Return a field of `/proc/self/status` in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def text(lines: list[Line]) -> str:
    """Format the lines as Markdown tables."""
    out = [speed_text(lines)]
    out += ["", "| whole sweep | seconds | seconds per run | model steps/s |", "|---|---|---|---|"]
    for line in lines:
        if "runs" in line:
            rate = line["model_steps_per_second"]["lcjax"]
            out.append(f"| {line['case']} | {line['seconds']:.2f} | {line['seconds_per_run']:.4f} | {rate:,.0f} |")
    out += ["", "| memory of a step | predicted, MB | measured, MB | ratio |", "|---|---|---|---|"]
    for line in lines:
        if "predicted_bytes" in line:
            predicted, measured = line["predicted_bytes"] / 1e6, line["measured_bytes"] / 1e6
            out.append(f"| {line['case']} | {predicted:.1f} | {measured:.1f} | {line['ratio']:.2f} |")
    return "\n".join(out)


def speed_text(lines: list[Line]) -> str:
    """Format the comparisons with PyTorch as a Markdown table."""
    out = [
        "| network | execution | ours, model steps/s | PyTorch | ratio (range) | required | others |",
        "|---" * 7 + "|",
    ]
    for line in lines:
        if "execution" in line:
            rate = dict(line["model_steps_per_second"])
            cells = [line["case"], line["execution"], f"{rate.pop('lcjax'):,.0f}"]
            if "torch" in rate:
                low, high = min(line["ratios"]), max(line["ratios"])
                cells += [f"{rate.pop('torch'):,.0f}", f"{line['ratio']:.2f} ({low:.2f} to {high:.2f})"]
                cells += [f">= {line['demand']:g}" if line["demand"] else ""]
            else:
                cells += [""] * 3
            cells.append(", ".join(f"{other} {value:,.0f}" for other, value in rate.items()))
            out.append("| " + " | ".join(cells) + " |")
    return "\n".join(out)


def plot(lines: list[Line], path: Path) -> None:
    """Plot ratios with the required ones, seconds against runs, and measured against predicted memory."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    compared = [line for line in lines if "demand" in line]
    for i, line in enumerate(compared):
        left.plot(line["ratios"], [i] * len(line["ratios"]), ".", color="C0", alpha=0.4)
        left.plot(line["ratio"], i, "o", color="C0")
        left.plot(line["demand"], i, "|", color="C3", markersize=18, markeredgewidth=2)
    left.axvline(1, color="0.7", linewidth=1)
    left.set(xscale="log", xlabel="model steps per second, ours / PyTorch (bar: required)", yticks=range(len(compared)))
    left.set_yticklabels([f"{line['case']}\n{line['execution']}" for line in compared])
    left.invert_yaxis()
    grown = [line for line in lines if "runs" in line]
    middle.plot([line["runs"] for line in grown], [line["seconds"] for line in grown], "o-")
    middle.set(xlabel="runs", ylabel="seconds for a complete sweep", xlim=(0, None), ylim=(0, None))
    held = [line for line in lines if "predicted_bytes" in line]
    predicted = np.array([line["predicted_bytes"] for line in held]) / 1e6
    right.loglog(predicted, [line["measured_bytes"] / 1e6 for line in held], "o")
    ends = np.array([predicted.min() / 2, predicted.max() * 2]) if held else np.array([1.0, 10.0])
    right.fill_between(ends, 0.8 * ends, 1.2 * ends, color="0.85", label="within 20 %")
    right.set(xlabel="predicted memory of a step, MB", ylabel="measured, MB")
    right.legend()
    figure.savefig(path, dpi=150)


SUITES = {"speed": speed, "growth": growth, "memory": memory}


def main() -> None:
    if sys.argv[1:2] == ["memory-of"]:
        print(json.dumps(memory_of(sys.argv[2], int(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("suite", nargs="*", choices=[*SUITES, []], help=f"Any of {', '.join(SUITES)} [default: all].")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, help="JSON file; table (.md) and figure (.png) are written next to it.")
    options = parser.parse_args()
    lines: list[Line] = []
    host = machine()
    if options.output and options.output.exists():
        lines = json.loads(options.output.read_text())["lines"]
    for suite in options.suite or SUITES:
        for line in SUITES[suite](options.rounds):
            print(json.dumps(line), flush=True)
            lines = [old for old in lines if old["case"] != line["case"]] + [line]
            if options.output:
                options.output.parent.mkdir(parents=True, exist_ok=True)
                options.output.write_text(json.dumps({"machine": host, "lines": lines}, indent=1, default=float) + "\n")
    if options.output:
        options.output.with_suffix(".md").write_text(text(lines) + "\n")
        plot(lines, options.output.with_suffix(".png"))
    print(text(lines))


if __name__ == "__main__":
    main()
