"""Validation curves over the steps of hyper-parameter sweeps, to develop and test forecasts of runs in flight.

Six sweeps, two for each task, are trained and scored 48 times at evenly spaced steps:

    task      half         network                         data
    images-1  development  MLP, 64 hidden units            MNIST, 300 and 4,000 examples
              held_out     LeNet                           MNIST, 300 and 3,000 examples
    images-2  development  LeNet, 4 and 8 filters          CIFAR-10, 400 and 1,000 examples
              held_out     MLP, 64 hidden units            CIFAR-10, 500 and 4,000 examples
    language  development  LSTM, 32 units, characters      tiny Shakespeare, 150 and 500 lines
              held_out     LSTM, 32 units, 500 words       Penn Treebank, 100 and 400 windows of 40 words

The halves were assigned before training. Every run has a random learning rate, log-uniform over two decades, a random
weight decay, log-uniform over three decades, and its own seed of shard, initialization and minibatches. Each sweep has
seven runs for each of two sizes and three combinations of optimizer and schedule: momentum at a constant rate, momentum
at a rate that is multiplied by 0.3 after each third of the steps, and Adam with a cosine schedule. All runs of one
sweep have the same number of steps and the same validation set. Comparisons (`benchmarks.runs_in_flight`) count the
runs of each size as a sweep of their own, which makes twelve.

    python -m benchmarks.runs_in_flight_data DATA_FOLDER OUTPUT_FOLDER
    python -m benchmarks.runs_in_flight_data --redraw OUTPUT_FOLDER

The second command draws the figure from `runs.csv` and trains nothing.

`runs.csv` has one row per run, in the random order in which a sweep would start them. Its columns are task, half, data,
net, optimizer, schedule, size, seed, learning_rate, weight_decay and steps, then the fraction of wrong validation
examples, `error_01` to `error_48`, and the mean validation cross-entropy in nats, `loss_01` to `loss_48`; both are per
token for language. Entry i of a curve belongs to step `steps * i / 48`. Runs whose loss became nan or infinite are
omitted and counted in `runs.json`; runs that nearly diverged are included, with losses up to 1e24. Finished runs are
stored in OUTPUT_FOLDER/runs, from which an interrupted benchmark resumes.
"""

import csv
import dataclasses
import functools
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

import lcjax as lc
from lcjax.data.arrays import limit_training
from lcjax.data.readers.files import read_bytes
from lcjax.data.sequences.sources import load_sequences
from lcjax.files import write_json
from lcjax.plots.style import label_axes, plain_errors
from lcjax.provenance import environment
from lcjax.training import Budget, Execution, Scoring, StepDecay, constant, cosine, epochs, momentum
from lcjax.typing import Progress

RECORDS, EACH, DECADES, DECAY = 48, 7, 2, (-6, -3)  # weight decay as powers of ten
VARIANTS: tuple[tuple[str, Any, str, Any], ...] = (
    ("momentum", momentum, "constant", constant),
    ("momentum", momentum, "steps", StepDecay(0.3, 3)),
    ("adam", optax.adam, "cosine", cosine),
)
CURVES = ("error", "loss")
HIGHEST = 20.0  # loss in the figure
COLORS = {"development": "C0", "held_out": "C1"}


@dataclasses.dataclass(frozen=True)
class Sweep:
    """One hyper-parameter sweep: seven runs for each of two shard sizes and each of `VARIANTS`.

    `steps` is a multiple of `RECORDS`. `lowest` is the lowest learning rate by optimizer. `execution` None selects the
    default of `lcjax.sweep`.
    """

    task: str
    half: str
    data: str
    net: str
    model: nn.Module
    sizes: tuple[int, int]
    steps: int
    batch: int
    lowest: dict[str, float]
    execution: Execution | None = None

    @property
    def name(self) -> str:
        """Name of the folder of the finished runs."""
        return f"{self.data}-{self.net}"


IMAGES, TEXT = {"momentum": 2e-3, "adam": 1e-4}, {"momentum": 2e-2, "adam": 3e-4}
PLAIN, MLP, LENET = Execution("map", 1, plain=True), lc.models.MLP((64,)), lc.models.LeNet()
CHARACTERS, WORDS = (lc.models.LanguageModel(symbols, units=32, layers=1, spread=1) for symbols in (66, 500))
SWEEPS = (
    Sweep("images-1", "development", "mnist", "mlp", MLP, (300, 4000), 720, 32, IMAGES),
    Sweep("images-2", "development", "cifar10", "lenet", lc.models.LeNet((4, 8)), (400, 1000), 960, 16, IMAGES, PLAIN),
    Sweep("language", "development", "shakespeare", "lstm", CHARACTERS, (150, 500), 960, 8, TEXT),
    Sweep("images-1", "held_out", "mnist", "lenet", LENET, (300, 3000), 960, 16, IMAGES, PLAIN),
    Sweep("images-2", "held_out", "cifar10", "mlp", MLP, (500, 4000), 960, 16, IMAGES),
    Sweep("language", "held_out", "ptb", "lstm", WORDS, (100, 400), 960, 8, TEXT),
)


def _first_validation(data: lc.Data, count: int) -> lc.Data:
    """Return the data without a test split and with `count` validation examples, few enough for noisy curves."""
    validation = jax.tree.map(lambda leaf: leaf[:count], data.validation)
    return dataclasses.replace(data, validation=validation, test=None)


def _mnist(folder: Path) -> lc.Data:
    return _first_validation(limit_training(lc.load_data(f"idx:{folder / 'mnist'}"), 8000), 1000)


def _cifar10(folder: Path) -> lc.Data:
    """Return the first batch of CIFAR-10, divided into training and validation examples."""
    images = np.load(io.BytesIO(read_bytes(folder / "cifar10" / "data_batch_1_images.npy.xz")))
    labels = np.load(folder / "cifar10" / "train_labels.npy")[: len(images)]
    return _first_validation(lc.data_from_arrays(images, labels, name="cifar10"), 1000)


def _text(name: str, count: int, folder: Path, **options: int) -> lc.Data:
    return _first_validation(load_sequences(name.format(folder), **options).data, count)


READERS: dict[str, Callable[[Path], lc.Data]] = {
    "mnist": _mnist,
    "cifar10": _cifar10,
    "shakespeare": functools.partial(_text, "characters:{}/tinyshakespeare/input.txt.gz", 200, longest=64),
    "ptb": functools.partial(_text, "ptb:{}/ptb", 100, size=500, unroll=40),
}


def table(sweep: Sweep, number: int) -> lc.Runs:
    """Return the runs of a sweep in random order; the sweep's number is the seed."""
    text = sweep.task == "language"
    objective = lc.models.token_cross_entropy if text else lc.cross_entropy
    scoring = Scoring(lc.models.tokens_of, lc.models.token_mistakes) if text else None
    budget = Budget(steps=sweep.steps, records=RECORDS)
    programs = tuple(
        lc.Program(sweep.model, objective, optimizer, schedule, sweep.batch, budget, epochs, scoring=scoring)
        for _, optimizer, _, schedule in VARIANTS
    )
    rng = np.random.default_rng(number)
    program, size = np.indices((len(VARIANTS), len(sweep.sizes), EACH)).reshape(3, -1)[:2]
    order = rng.permutation(len(program))
    program, size = program[order], np.array(sweep.sizes)[size[order]]
    lowest = np.array([sweep.lowest[VARIANTS[p][0]] for p in program])
    columns = {
        "size": size,
        "seed": np.arange(len(program)),
        "learning_rate": lowest * 10 ** rng.uniform(0, DECADES, len(program)),
        "weight_decay": 10 ** rng.uniform(*DECAY, len(program)),
    }
    return lc.Runs(programs, program, columns)


def train(sweep: Sweep, number: int, data: lc.Data, folder: Path) -> tuple[lc.SweepResult, float]:
    """Train a sweep, or resume it; return its result and processor seconds, including those of earlier processes."""
    folder.mkdir(parents=True, exist_ok=True)
    clock, start = folder / f"{sweep.name}.seconds", time.process_time()
    before = float(clock.read_text()) if clock.exists() else 0.0

    def note(progress: Progress) -> None:
        if progress.just_ended:
            clock.write_text(str(before + time.process_time() - start))
            print(f"{sweep.name}: {progress.ended} of {progress.runs} runs, {clock.read_text()} s", flush=True)

    runs, store = table(sweep, number), folder / sweep.name
    result = lc.sweep(jax.random.key(number), data, runs, folder=store, execution=sweep.execution, on_progress=note)
    return result, float(clock.read_text())


def rows_of(sweep: Sweep, result: lc.SweepResult) -> list[dict[str, str]]:
    """Return the finished runs of a sweep as rows of the table."""
    found = []
    curves = np.asarray(result.validation_error), np.asarray(result.validation_loss)
    for run in np.flatnonzero(np.asarray(result.status) == 0):
        optimizer, _, schedule, _ = VARIANTS[result.runs.program[run]]
        row = {"task": sweep.task, "half": sweep.half, "data": sweep.data, "net": sweep.net}
        row |= {"optimizer": optimizer, "schedule": schedule}
        row |= {name: f"{column[run]:.6g}" for name, column in result.runs.columns.items()}
        row["steps"] = str(sweep.steps)
        for name, curve in zip(CURVES, curves, strict=True):
            row |= {f"{name}_{i:02}": f"{value:.5g}" for i, value in enumerate(curve[run], 1)}
        found.append(row)
    return found


def draw(rows: list[dict[str, str]], path: Path) -> None:
    """Draw all runs; losses above `HIGHEST`, of a few runs that nearly diverge, are drawn at `HIGHEST`."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    figure = Figure(figsize=(4.2 * len(tasks), 7), layout="constrained")
    panels = figure.subplots(len(CURVES), len(tasks), squeeze=False)
    for row in rows:
        for name, axes in zip(CURVES, panels[:, tasks.index(row["task"])], strict=True):
            values = [min(float(row[f"{name}_{i:02}"]), HIGHEST) for i in range(1, RECORDS + 1)]
            axes.plot(np.arange(1, RECORDS + 1) / RECORDS, values, color=COLORS[row["half"]], linewidth=0.5, alpha=0.6)
    for (line, column), axes in np.ndenumerate(panels):
        axes.set_yscale("log")
        plain_errors(axes)
        label_axes(axes, "share of the steps", f"validation {CURVES[line]}")
        if line:
            continue
        nets = dict.fromkeys((r["half"], f"{r['data']}, {r['net']}") for r in rows if r["task"] == tasks[column])
        handles = [Line2D([], [], color=COLORS[half], label=f"{half.replace('_', '-')}: {net}") for half, net in nets]
        # Above the axes, where no curve can be.
        axes.legend(handles=handles, frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1))
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=80)
    # A palette, since few colours need a third of the bytes.
    Image.open(drawn).convert("RGB").quantize(64).save(path, optimize=True)


def main() -> None:
    output = Path(sys.argv[2])
    if sys.argv[1] == "--redraw":
        with (output / "runs.csv").open(newline="") as file:
            draw(list(csv.DictReader(file)), output / "runs.png")
        return
    data = Path(sys.argv[1])
    rows, summary = [], []
    for number, sweep in enumerate(SWEEPS):
        result, seconds = train(sweep, number, READERS[sweep.data](data), output / "runs")
        finished = rows_of(sweep, result)
        rows += finished
        counts = {"runs": len(finished), "diverged": len(result.status) - len(finished)}
        execution, *_ = map(str, result.executions)  # the same for all programs of a sweep
        names = {"model": " ".join(repr(sweep.model).split()), "execution": execution}
        summary.append(dataclasses.asdict(sweep) | names | counts | {"processor_seconds": round(seconds, 1)})
        print(json.dumps(counts | {"sweep": sweep.name}), flush=True)
        with (output / "runs.csv").open("w", newline="") as file:  # complete sweeps are usable before the others end
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        settings = {"records": RECORDS, "runs_of_each_kind": EACH, "decades_of_rates": DECADES, "log10_decay": DECAY}
        total = round(sum(entry["processor_seconds"] for entry in summary), 1)
        facts = {"environment": environment(), "settings": settings, "processor_seconds": total, "sweeps": summary}
        write_json(output / "runs.json", facts)
        draw(rows, output / "runs.png")


if __name__ == "__main__":
    main()
