"""Sweeps beside plain PyTorch loops: `python -m benchmarks.sweep [speed growth memory] --output FILE`.

Both train on batches of 128 drawn at random from a resident set, with cross-entropy and SGD with momentum 0.9, and are
compared in model-steps a second: steps of optimizers, of all nets together. Ours are the vectorized or mapped steps of
a sweep with the execution that it chooses, PyTorch's a plain loop over the steps of one net. Neither is scored
meanwhile; the whole of `lc.sweep`, start and scores included, is timed by "growth". They take turns; the turns in which
other processes took the least of the processor are kept, and what they took is said. Without PyTorch ours is timed
alone.
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
from lcjax.training.execution import scheduler as chunks
from lcjax.training.execution import step as steps
from lcjax.training.execution.heuristics import choose_execution

BATCH = 128
EXAMPLES = 4096
UNDISTURBED = 0.05  # share of the processor that others may take in a turn
LONGEST = 30.0  # seconds for the turns of a case

Line = dict[str, Any]
NETS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "64-32-10": (lc.models.MLP((32,)), (64,)),
    "784-50-10": (lc.models.MLP((50,)), (784,)),
    "LeNet": (lc.models.LeNet(), (28, 28)),
    "quick net": (lc.models.QuickNet(), (32, 32, 3)),
}
# net, runs, model-steps of one turn of ours and of PyTorch's, demanded ratio, executions beside the default
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
    """So many runs of so many steps each, each with a seed and a rate of its own."""
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
    """An order of the examples for each slot."""
    return jnp.asarray(np.stack([np.random.default_rng(i).permutation(EXAMPLES) for i in range(width)]), jnp.int32)


def filled(task: lc.Data, program: lc.Program, orders: jax.Array, rate: float = 1e-3) -> steps.Slot:
    """Slots with a run each, one an order."""
    width, size = orders.shape
    slots = None
    for i in range(width):
        columns = {"size": jnp.int32(size), "seed": jnp.int32(i), "learning_rate": jnp.float32(rate)}
        slot = steps.start(
            jax.random.key(0), task, orders, {}, None, columns, jnp.int32(i), jnp.int32(10**6), program=program
        )
        slots = steps.broadcast(slot, width=width) if slots is None else steps.put(slots, slot, jnp.int32(i))
    assert slots is not None
    return slots


def train_slots(
    task: lc.Data, program: lc.Program, orders: jax.Array, spelled: str, model_steps: int
) -> Callable[[], Any]:
    """Return a function that trains one slot for each order."""
    execution = Execution.parse(spelled)
    slots = filled(task, program, orders)
    todo = np.full(execution.width, model_steps // execution.width, np.int32)

    def advance() -> Any:
        nonlocal slots
        slots = chunks.advanced(slots, task, orders, todo, program, execution)
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
    """A plain loop; images channels first."""
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
    """Seconds of every competitor in the turns that were least disturbed, and how much they were."""
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
    """Processor seconds that others have used since the machine was started; 0 where the kernel does not say."""
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
    """Model-steps a second of "lcjax" and others that make so many in a turn, and its ratio to "torch"."""
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
    """The whole sweep against the number of runs; they take turns."""
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
    """Memory that a step of all slots needs beside them: what the compiler says, and the peak in a new process."""
    for name, width in (
        *(("64-32-10", 16), ("64-32-10", 64), ("784-50-10", 4), ("784-50-10", 32), ("784-50-10", 128)),
        *(("LeNet", 8), ("LeNet", 32), ("quick net", 4)),
    ):
        command = [sys.executable, "-m", "benchmarks.sweep", "memory-of", name, str(width)]
        yield json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def memory_of(name: str, width: int) -> Line:
    """Bytes of one vectorized step, beside what the first step of any net takes once (threads, the runtime's code)."""

    def prepared(name: str, width: int) -> tuple[Any, ...]:
        model, shape = NETS[name]
        task, program = jax.device_put(data(shape)), table(model, 1, 10).programs[0]
        orders = shuffled(width)
        arguments = filled(task, program, orders), task, orders, jnp.ones(1, jnp.int32)
        return steps.advance.lower(*arguments, program=program, mapped=False).compile(), arguments

    def grown(compiled: Any, arguments: tuple[Any, ...]) -> int:
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
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
    """Bytes from the kernel's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def text(lines: list[Line]) -> str:
    """The lines as Markdown tables."""
    out = [speed_text(lines)]
    out += ["", "| whole sweep | seconds | seconds a run | model-steps/s |", "|---|---|---|---|"]
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
    """The lines of nets beside PyTorch as a Markdown table."""
    out = ["| net | execution | ours, model-steps/s | PyTorch | ratio (range) | demand | others |", "|---" * 7 + "|"]
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
    """Ratios with their demands, seconds against runs, measured against predicted memory."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    compared = [line for line in lines if "demand" in line]
    for i, line in enumerate(compared):
        left.plot(line["ratios"], [i] * len(line["ratios"]), ".", color="C0", alpha=0.4)
        left.plot(line["ratio"], i, "o", color="C0")
        left.plot(line["demand"], i, "|", color="C3", markersize=18, markeredgewidth=2)
    left.axvline(1, color="0.7", linewidth=1)
    left.set(xscale="log", xlabel="model-steps a second, ours / PyTorch (bar: demand)", yticks=range(len(compared)))
    left.set_yticklabels([f"{line['case']}\n{line['execution']}" for line in compared])
    left.invert_yaxis()
    grown = [line for line in lines if "runs" in line]
    middle.plot([line["runs"] for line in grown], [line["seconds"] for line in grown], "o-")
    middle.set(xlabel="runs", ylabel="seconds of a whole sweep", xlim=(0, None), ylim=(0, None))
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
    parser.add_argument("suite", nargs="*", choices=[*SUITES, []], help=f"{', '.join(SUITES)}; all if none")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, help="JSON; table (.md) and figure (.png) lie beside it")
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
