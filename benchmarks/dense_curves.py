"""Dense learning curves of small networks during pre-training: few-shot errors on other classes or another data set.

Every run pre-trains one network and stops at 40 linearly spaced numbers of seen examples. At each, ridge regression on
the frozen features of 5, 10 or 25 examples per class classifies held-out classes or another data set; the error is the
mean over fixed draws of these examples. The error and loss of the pre-training task itself are recorded too.

    python -m benchmarks.dense_curves DATA_FOLDER OUTPUT_FOLDER

Writes `curves.csv` in the layout of the public benchmark of Alabdulmohsin et al. (2022), `curves.json` with the
configuration, and a figure, after every run. Finished runs are stored in OUTPUT_FOLDER/runs, from which an interrupted
command resumes.
"""

import csv
import dataclasses
import io
import sys
import time
from functools import cache, partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import lcjax
from lcjax.cli.output import save_figure
from lcjax.data.readers.files import read_bytes
from lcjax.files import atomic_path, write_json
from lcjax.models.classifier import Classifier
from lcjax.models.layers.pooling import mean_pool
from lcjax.provenance import environment
from lcjax.training.augmentation import Crop, flip
from lcjax.typing import Array

CHECKPOINTS, BATCH, WARMUP = 40, 100, 50
SHOTS, DRAWS, QUERIES, SLICE = (5, 10, 25), 4, 1000, 100
RIDGES = (0.01, 0.1, 1.0, 10.0)  # times the number of support examples; features have mean square 1
MEAN, SPREAD = 120.0, 64.0  # of the pixels of CIFAR-10
ORDER, INITIAL, AUGMENT = range(3)  # streams of a seed
ANIMALS, VEHICLES = (2, 3, 4, 5, 6, 7), (0, 1, 8, 9)
Split = tuple[np.ndarray, np.ndarray]


class Quick(lcjax.models.QuickNet):
    """Caffe's quick network on images reduced to 16x16."""

    def features(self, inputs: Array, *, train: bool = False) -> Array:  # noqa: D102
        return super().features(mean_pool(inputs, 2, 2), train=train)


class Strided(Classifier):
    """Three 3x3 convolutions with stride 2 and no pool, then 96 units."""

    classes: int = 10

    def setup(self) -> None:  # noqa: D102
        self.convolutions = [nn.Conv(filters, (3, 3), (2, 2)) for filters in (16, 32, 64)]
        self.hidden, self.head = nn.Dense(96), nn.Dense(self.classes)

    def features(self, inputs: Array, *, train: bool = False) -> Array:  # noqa: D102
        for convolution in self.convolutions:
            inputs = nn.relu(convolution(inputs))
        return nn.relu(self.hidden(inputs.reshape(len(inputs), -1)))


class ResNet8(Classifier):
    """A residual network of 8 layers, 16, 32 and 64 filters, with group normalization and a first stride of 2."""

    classes: int = 10

    @nn.nowrap
    def conv(self, filters: int, size: int = 3, stride: int = 1) -> nn.Conv:  # noqa: D102
        return nn.Conv(filters, (size, size), (stride, stride), use_bias=False)

    def setup(self) -> None:  # noqa: D102
        self.stem, self.first = self.conv(16, stride=2), nn.GroupNorm(8)
        strides = ((16, 1), (32, 2), (64, 2))
        self.blocks = [(self.conv(f, stride=s), nn.GroupNorm(8), self.conv(f), nn.GroupNorm(8)) for f, s in strides]
        self.shortcuts = [self.conv(f, size=1, stride=2) for f, s in strides if s > 1]
        self.head = nn.Dense(self.classes)

    def features(self, inputs: Array, *, train: bool = False) -> Array:  # noqa: D102
        value = nn.relu(self.first(self.stem(inputs)))
        for i, (convolution, norm, second, second_norm) in enumerate(self.blocks):
            change = second_norm(second(nn.relu(norm(convolution(value)))))
            value = nn.relu(change + (self.shortcuts[i - 1](value) if i else value))
        return value.mean(axis=(1, 2))


class Mixer(Classifier):
    """A perceptron mixer on the 16 patches of 8x8 pixels, two blocks of width 96."""

    classes: int = 10

    def setup(self) -> None:  # noqa: D102
        self.embedding, self.norm, self.head = nn.Dense(96), nn.LayerNorm(), nn.Dense(self.classes)
        sizes = (32, 16, 192, 96)
        self.blocks = [(nn.LayerNorm(), nn.LayerNorm(), *(nn.Dense(size) for size in sizes)) for _ in range(2)]

    def features(self, inputs: Array, *, train: bool = False) -> Array:  # noqa: D102
        patches = inputs.reshape(-1, 4, 8, 4, 8, 3).swapaxes(2, 3).reshape(len(inputs), 16, 192)
        value = self.embedding(patches)
        for norm, second_norm, wide, narrow, second_wide, second_narrow in self.blocks:
            value += narrow(nn.relu(wide(norm(value).swapaxes(1, 2)))).swapaxes(1, 2)
            value += second_narrow(nn.relu(second_wide(second_norm(value))))
        return self.norm(value).mean(axis=1)


NETS: dict[str, Any] = {
    "mlp": partial(lcjax.models.MLP, (256, 256)),
    "lenet": lcjax.models.LeNet,
    "quick": Quick,
    "strided": Strided,
    "resnet8": ResNet8,
    "mixer": Mixer,
}
# Name -> data set and its classes; targets of few-shot classification after pre-training.
TASKS: dict[str, tuple[str, tuple[int, ...]]] = {
    "cifar10": ("cifar10", tuple(range(10))),
    "cifar10 0-4": ("cifar10", (0, 1, 2, 3, 4)),
    "cifar10 5-9": ("cifar10", (5, 6, 7, 8, 9)),
    "cifar10 animals": ("cifar10", ANIMALS),
    "cifar10 vehicles": ("cifar10", VEHICLES),
    "mnist": ("mnist", tuple(range(10))),
    "mnist 0-4": ("mnist", (0, 1, 2, 3, 4)),
    "mnist 5-9": ("mnist", (5, 6, 7, 8, 9)),
    "digits": ("digits", tuple(range(10))),
}
TARGETS = {
    "cifar10": ("mnist", "digits", "mnist 5-9"),
    "cifar10 0-4": ("cifar10 5-9", "mnist", "digits"),
    "cifar10 5-9": ("cifar10 0-4", "mnist", "digits"),
    "cifar10 animals": ("cifar10 vehicles", "mnist", "digits"),
    "cifar10 vehicles": ("cifar10 animals", "mnist", "digits"),
    "mnist": ("digits", "cifar10 vehicles", "cifar10 animals"),
    "mnist 0-4": ("mnist 5-9", "digits", "cifar10 vehicles"),
    "mnist 5-9": ("mnist 0-4", "digits", "cifar10 vehicles"),
}


@dataclasses.dataclass(frozen=True)
class Run:
    """One pre-training run: network, task, optimizer and its learning rate, seed, steps between checkpoints."""

    net: str
    task: str
    optimizer: str
    rate: float
    steps: int
    seed: int

    @property
    def name(self) -> str:
        """Network and seed, which identify the run."""
        return f"{self.net}-s{self.seed}"

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets of few-shot classification: two for the expensive networks, three for the others."""
        return TARGETS[self.task][: 2 if self.net in ("quick", "resnet8") else 3]


RUNS = tuple(
    Run(*values, seed=seed)
    for seed, values in enumerate(
        (
            ("lenet", "mnist 5-9", "sgd", 0.0003, 35),
            ("mlp", "cifar10 0-4", "sgd", 0.001, 35),
            ("strided", "cifar10 vehicles", "adam", 1e-4, 30),
            ("mixer", "mnist 0-4", "adam", 1e-4, 22),
            ("lenet", "cifar10 5-9", "adam", 3e-4, 35),
            ("quick", "cifar10 animals", "adam", 5e-4, 14),
            ("strided", "mnist", "sgd", 0.0003, 25),
            ("mixer", "cifar10 5-9", "adam", 3e-4, 25),
            ("resnet8", "cifar10 0-4", "adam", 3e-4, 11),
            ("lenet", "cifar10 vehicles", "sgd", 0.0007, 40),
            ("mlp", "mnist 0-4", "sgd", 0.0002, 30),
            ("strided", "cifar10 animals", "sgd", 0.002, 30),
            ("quick", "mnist 0-4", "adam", 1e-4, 12),
            ("mixer", "cifar10 animals", "sgd", 0.01, 25),
            ("lenet", "cifar10", "adam", 1e-4, 40),
            ("resnet8", "mnist 5-9", "sgd", 0.003, 9),
            ("strided", "cifar10 0-4", "adam", 1e-3, 30),
        )
    )
)


@cache
def load(folder: Path, name: str) -> tuple[Split, Split]:
    """Return training and test split of a data set, images as 32x32x3 bytes."""
    if name == "cifar10":
        return load_cifar10(folder / name)
    if name == "mnist":
        data = lcjax.load_data(f"idx:{folder / name}")
        assert data.test is not None
        train, test = (_as_colour(np.asarray(part.inputs).reshape(-1, 28, 28), 2) for part in (data.train, data.test))
        return (train, np.asarray(data.train.targets)), (test, np.asarray(data.test.targets))
    images, targets = load_digits(return_X_y=True)
    enlarged = _as_colour(np.kron(images.reshape(-1, 8, 8) * 15.9, np.ones((1, 4, 4))).astype(np.uint8))
    order = np.random.default_rng(0).permutation(len(targets))
    return tuple((enlarged[rows], targets[rows]) for rows in (order[:800], order[800:]))  # type: ignore[return-value]


def load_cifar10(folder: Path) -> tuple[Split, Split]:
    """Return training and test split of CIFAR-10, stored as NumPy arrays."""
    parts = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
    *batches, test = (_load(folder / f"{part}_images.npy.xz") for part in parts)
    labels = [_load(folder / f"{part}_labels.npy") for part in ("train", "test")]
    return (np.concatenate(batches), labels[0]), (test, labels[1])


def _load(path: Path) -> np.ndarray:
    return np.load(io.BytesIO(read_bytes(path)))


def _as_colour(images: np.ndarray, border: int = 0) -> np.ndarray:
    sides = (0, 0), (border, border), (border, border)
    return np.repeat(np.pad(images, sides)[..., None], 3, axis=3)


def task(folder: Path, name: str) -> tuple[Split, Split]:
    """Return training and test split of a task, labels counted from 0."""
    data_set, classes = TASKS[name]
    splits = []
    for images, labels in load(folder, data_set):
        rows = np.isin(labels, classes)
        splits.append((images[rows], np.searchsorted(classes, labels[rows]).astype(np.int32)))
    return splits[0], splits[1]


@dataclasses.dataclass(frozen=True)
class Target:
    """A few-shot task: support images in draws, each of as many of every class as the most shots, and queries."""

    support: Split  # draw after draw, class after class
    queries: Split

    @classmethod
    def draw(cls, folder: Path, name: str) -> "Target":
        """Draw support images with replacement, and query images, the same for all runs."""
        (images, labels), (test, test_labels) = task(folder, name)
        rng = np.random.default_rng(0)
        members = [np.flatnonzero(labels == c) for c in range(labels.max() + 1)]
        rows = np.concatenate([rng.choice(of_class, max(SHOTS)) for _ in range(DRAWS) for of_class in members])
        queries = rng.permutation(len(test))[:QUERIES]
        return cls((images[rows], labels[rows]), (test[queries], test_labels[queries]))

    def errors(self, support: np.ndarray, queries: np.ndarray) -> np.ndarray:
        """Return the error, averaged over the draws, for every number of shots and ridge, from the features."""
        mean, spread = support.mean(axis=0), support.std(axis=0)
        spread = np.maximum(spread, 1e-2 * np.sqrt(np.mean(spread**2)) + 1e-30)  # units that are nearly constant
        width, classes = np.sqrt(support.shape[1]), int(self.support[1].max()) + 1
        support, queries = ((value - mean) / spread / width for value in (support, queries))
        draws = support.reshape(DRAWS, classes, max(SHOTS), -1)
        error = np.zeros((len(SHOTS), len(RIDGES)))
        for i, shots in enumerate(SHOTS):
            one_hot = np.repeat(np.eye(classes), shots, axis=0) - 1 / classes
            for draw in draws[:, :, :shots]:
                few = draw.reshape(classes * shots, -1)
                center = few.mean(axis=0)
                few, others = few - center, queries - center
                values, vectors = np.linalg.eigh(few @ few.T)
                projected, outputs = others @ few.T @ vectors, vectors.T @ one_hot
                for j, ridge in enumerate(RIDGES):
                    scores = (projected / (values + ridge * len(few) / few.shape[1])) @ outputs
                    error[i, j] += np.mean(scores.argmax(axis=1) != self.queries[1]) / DRAWS
        return error


def train(folder: Path, run: Run) -> dict[str, np.ndarray]:
    """Pre-train a network; return the sizes, few-shot errors of each target, own errors and losses, and seconds."""
    start = time.process_time()
    (images, labels), (test, test_labels) = task(folder, run.task)
    held = np.random.default_rng(1).permutation(len(test))[:QUERIES]
    targets = {name: Target.draw(folder, name) for name in run.targets}
    parts = [test[held], *(part[0] for target in targets.values() for part in (target.support, target.queries))]
    ends = np.cumsum([len(part) for part in parts])
    evaluated = np.concatenate(parts)
    model = NETS[run.net](classes=len(TASKS[run.task][1]))
    color = run.task.startswith("cifar10")
    stream = partial(jax.random.fold_in, jax.random.key(run.seed))
    params = model.init(stream(INITIAL), _normalize(evaluated[:1]))
    last = run.steps * CHECKPOINTS

    def schedule(step: jax.Array) -> jax.Array:
        return run.rate * jnp.minimum(1.0, (step + 1) / WARMUP)

    optimizer = optax.adam(schedule) if run.optimizer == "adam" else optax.sgd(schedule, momentum=0.9)

    @jax.jit
    def update(params: Any, state: Any, key: jax.Array, batch: jax.Array, classes: jax.Array) -> tuple[Any, Any]:
        inputs = Crop(2, -MEAN / SPREAD if not color else 0.0)(key, _normalize(batch))
        inputs = flip(jax.random.fold_in(key, 1), inputs) if color else inputs

        def loss(params: Any) -> jax.Array:
            outputs = model.apply(params, inputs, train=True)
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(outputs, classes))

        change, state = optimizer.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, change), state

    @jax.jit
    def evaluate(params: Any, batch: jax.Array) -> tuple[jax.Array, jax.Array]:
        features = model.apply(params, _normalize(batch), method="features")
        return features, model.apply(params, features, method=lambda model, features: model.head(features))

    state = optimizer.init(params)
    order = _order(run, len(labels), last * BATCH)
    found: dict[str, list[Any]] = {name: [] for name in ("error", "loss", *targets)}
    for step in range(1, last + 1):
        rows = order[(step - 1) * BATCH : step * BATCH]
        key = jax.random.fold_in(stream(AUGMENT), step)
        params, state = update(params, state, key, images[rows], labels[rows])
        if step % run.steps:
            continue
        outputs = [evaluate(params, evaluated[i : i + SLICE]) for i in range(0, len(evaluated), SLICE)]
        features, logits = (np.concatenate([np.asarray(part[i], float) for part in outputs]) for i in (0, 1))
        if not np.all(np.isfinite(features)):
            raise FloatingPointError(f"{run.name} diverged at {step * BATCH} examples.")
        chances = jax.nn.log_softmax(logits[: len(held)])[np.arange(len(held)), test_labels[held]]
        found["loss"].append(-float(np.mean(chances)))
        found["error"].append(np.mean(logits[: len(held)].argmax(axis=1) != test_labels[held]))
        _, *split = np.split(features, ends[:-1])
        for i, (name, target) in enumerate(targets.items()):
            found[name].append(target.errors(split[2 * i], split[2 * i + 1]))
    count = lcjax.models.parameter_count(model, _normalize(evaluated[:1]))
    size = np.arange(1, CHECKPOINTS + 1) * run.steps * BATCH
    seconds = time.process_time() - start
    return {"size": size, "parameters": np.array(count), "seconds": np.array(seconds)} | {
        name: np.asarray(values) for name, values in found.items()
    }


def _normalize(images: Any) -> jax.Array:
    return (jnp.asarray(images, jnp.float32) - MEAN) / SPREAD


def _order(run: Run, n: int, count: int) -> np.ndarray:
    """Return `count` rows, pass after pass in new random orders."""
    rng = np.random.default_rng((run.seed, ORDER))
    return np.concatenate([rng.permutation(n) for _ in range(-(-count // n))])[:count]


def curves_of(run: Run, found: dict[str, np.ndarray]) -> dict[tuple[str, str, str], np.ndarray]:
    """Return the curves of a run by domain, task and model; one ridge for each, best over the first half."""
    half = found["size"] <= found["size"][-1] / 2
    curves = {}
    for name in run.targets:
        best = found[name][half].mean(axis=0).argmin(axis=-1)
        for i, shots in enumerate(SHOTS):
            curves["few-shot", f"{name} {shots}-shot", run.name] = found[name][:, i, best[i]]
    return curves | {(f"training {kind}", run.task, run.name): found[kind] for kind in ("error", "loss")}


def draw(curves: dict[tuple[str, str, str], np.ndarray], sizes: dict[str, np.ndarray], path: Path) -> None:
    """Draw ten 25-shot errors, spread over the runs, and an error and a loss of pre-training."""
    few = [name for name in curves if name[0] == "few-shot" and name[1].endswith("25-shot")]
    own = [name for name in curves if name[0] != "few-shot"]
    chosen = [few[i] for i in np.linspace(0, len(few) - 1, min(10, len(few))).astype(int)] + own[-2:]
    figure = Figure(figsize=(12, 8), layout="constrained")
    for i, name in enumerate(chosen):
        axes, size = figure.add_subplot(3, 4, i + 1), sizes[name[2]]
        axes.loglog(size, curves[name], ".-", markersize=3, linewidth=0.8)
        axes.axvline(size[-1] / 2, color="0.8", linewidth=1)
        axes.set_title(f"{name[2]}: {name[1]}" + ("" if name[0] == "few-shot" else f", {name[0]}"), fontsize="small")
        axes.xaxis.set_minor_formatter("")
        axes.yaxis.set_major_formatter("{x:.3g}")
        axes.yaxis.set_minor_formatter("{x:.3g}")
        axes.tick_params(labelsize="x-small", which="both")
    figure.supxlabel("seen examples (line: half of the largest)", fontsize="medium")
    save_figure(figure, path)


def write(output: Path, runs: tuple[Run, ...]) -> None:
    """Write the table, the configuration and the figure of finished runs."""
    curves: dict[tuple[str, str, str], np.ndarray] = {}
    sizes: dict[str, np.ndarray] = {}
    entries = []
    for run in runs:
        found = dict(np.load(output / "runs" / f"{run.name}.npz"))
        sizes[run.name] = found["size"]
        curves |= curves_of(run, found)
        numbers = {"parameters": int(found["parameters"]), "processor_seconds": round(float(found["seconds"]), 1)}
        entries.append({"model": run.name, **dataclasses.asdict(run), "targets": run.targets, **numbers})
    with atomic_path(output / "curves.csv") as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("Domain", "Task", "Model", "Seen Examples", "Loss", "Training"))
        for name, values in curves.items():
            size = sizes[name[2]]
            for x, y in zip(size.tolist(), values.tolist(), strict=True):
                table.writerow((*name, x, f"{y:.5g}", int(x <= size[-1] / 2)))
    constants = {"checkpoints": CHECKPOINTS, "batch": BATCH, "warm_up_steps": WARMUP, "shots": SHOTS}
    constants |= {"draws": DRAWS, "queries": QUERIES, "ridges": RIDGES}
    kinds = [name[0] for name in curves]
    summary = {
        "configuration": constants,
        "curves": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "processor_seconds": round(sum(entry["processor_seconds"] for entry in entries), 1),
        "runs": entries,
        "environment": environment(),
    }
    write_json(output / "curves.json", summary)
    draw(curves, sizes, output / "curves")


def main() -> None:
    data, output = Path(sys.argv[1]), Path(sys.argv[2])
    for i, run in enumerate(RUNS, 1):
        stored = output / "runs" / f"{run.name}.npz"
        if not stored.exists():
            found = train(data, run)
            with atomic_path(stored) as temporary:
                np.savez(temporary, **found)  # type: ignore[arg-type]
            print(f"{run.name}, {run.task}: {found['seconds']:.0f} s, error {found['error'][-1]:.3f}", flush=True)
            write(output, RUNS[:i])
    write(output, RUNS)


if __name__ == "__main__":
    main()
