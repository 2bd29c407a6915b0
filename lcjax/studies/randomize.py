"""The randomization tests of Zhang et al. (2017): how fast nets fit the null, and what they then know."""

import dataclasses
import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Key

from lcjax.complexity.randomization import corrupt_labels, gaussian_pixels, random_pixels, shuffle_pixels
from lcjax.data.examples import Data, Examples
from lcjax.data.subsets import stratified_order
from lcjax.models.vision import MLP
from lcjax.records import record
from lcjax.studies.stages import Report, refuse_failures, runs_folder, stage_progress
from lcjax.studies.zhang_protocol import NETS, TABLE1, Net, Protocol, count_parameters, prepare
from lcjax.training.engine import sweep
from lcjax.training.runs import Runs

__all__ = [
    "CONDITIONS",
    "Case",
    "Randomization",
    "RandomizationTests",
    "condition_cases",
    "randomization_tests",
    "regularizer_cases",
    "runs_of",
    "width_cases",
]

LOSS_RULE = 0.1  # nats: as in the replication that PROTOCOLS cites
HELD_OUT = 2000  # validation examples looked at whenever a run is recorded
RATIOS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # parameters over examples: the range of Bourlard and Wellekens' table

# Name of a condition to the columns "pixels" and "corruption"; "corrupted labels" brings its own corruption.
CONDITIONS = {
    "true labels": (0, 0.0),
    "random labels": (0, 1.0),
    "shuffled pixels": (1, 0.0),
    "random pixels": (2, 0.0),
    "gaussian pixels": (3, 0.0),
    "corrupted labels": (0, 0.5),
}


@dataclasses.dataclass(frozen=True)
class Randomization:
    """What a run sees instead of the data, by its columns "pixels" and "corruption": the `corrupt` of a `Program`.

    Images must be standardized: Gaussian pixels have mean 0 and variance 1.

    Attributes:
        classes: of the labels.
    """

    classes: int

    def __call__(self, key: Any, number: Any, images: Any, labels: Any, columns: Any, *, train: bool) -> Any:
        """Images and labels of the examples with these numbers; labels change in the training set only."""
        label_key, pixel_key = jax.random.split(key)
        if train:
            labels = corrupt_labels(label_key, labels, self.classes, columns["corruption"], index=number)
        branches = [
            lambda images: images,
            lambda images: shuffle_pixels(pixel_key, images),
            lambda images: random_pixels(pixel_key, images, index=number),
            lambda images: gaussian_pixels(pixel_key, images, index=number, mean=0.0, standard_deviation=1.0),
        ]
        return jax.lax.switch(columns["pixels"], branches, jnp.asarray(images)), labels


@dataclasses.dataclass(frozen=True)
class Case:
    """One training.

    Attributes:
        net: what is trained.
        size: examples.
        condition: a name of `CONDITIONS`.
        corruption: probability that a training label is replaced.
        crop: random crop and flip.
        decay: weight decay.
        seed: of order, initialization, minibatches and randomization.
    """

    net: Net
    size: int
    condition: str = "true labels"
    corruption: float = 0.0
    crop: bool = False
    decay: bool = False
    seed: int = 0


@record
class RandomizationTests:
    """What became of every training; nan where a rule was never met.

    Attributes:
        net: name, one a run.
        condition: likewise.
        size: examples, `(w,)`.
        parameters: of the net, `(w,)`.
        ratio: parameters over examples, `(w,)`.
        corruption: probability that a training label is replaced, `(w,)`.
        crop: random crop and flip, `(w,)`.
        decay: weight decay, `(w,)`.
        seed: `(w,)`.
        recorded_step: `(w, t)`.
        train_loss: in nats, of what the run sees, `(w, t)`.
        train_error: likewise, `(w, t)`.
        held_out_error: on validation examples with true labels, `(w, t)`.
        final_train_error: on all examples, `(w,)`.
        test_error: on the test set with true labels, `(w,)`.
        best_held_out_error: smallest of `held_out_error`: what early stopping could give, `(w,)`.
        steps_to_fit: first recorded step without a wrong training example, `(w,)`.
        steps_to_loss: first recorded step with a training loss of 0.1 nats at most, `(w,)`.
        slowdown: `steps_to_fit` over that of the same net and seed on true labels without regularizer, `(w,)`.
        slowdown_of_loss: the same of `steps_to_loss`, `(w,)`.
        seconds: that the trainings of this call took, `()`; those read from the folder cost nothing.
        form: execution form of each program.
    """

    net: tuple[str, ...] = jax.tree.static()
    condition: tuple[str, ...] = jax.tree.static()
    size: Int[np.ndarray, " w"]
    parameters: Int[np.ndarray, " w"]
    ratio: Float[np.ndarray, " w"]
    corruption: Float[np.ndarray, " w"]
    crop: Bool[np.ndarray, " w"]
    decay: Bool[np.ndarray, " w"]
    seed: Int[np.ndarray, " w"]
    recorded_step: Int[np.ndarray, "w t"]
    train_loss: Float[np.ndarray, "w t"]
    train_error: Float[np.ndarray, "w t"]
    held_out_error: Float[np.ndarray, "w t"]
    final_train_error: Float[np.ndarray, " w"]
    test_error: Float[np.ndarray, " w"]
    best_held_out_error: Float[np.ndarray, " w"]
    steps_to_fit: Float[np.ndarray, " w"]
    steps_to_loss: Float[np.ndarray, " w"]
    slowdown: Float[np.ndarray, " w"]
    slowdown_of_loss: Float[np.ndarray, " w"]
    seconds: Float[np.ndarray, ""]
    form: tuple[str, ...] = jax.tree.static()

    def rows(self, **wanted: Any) -> Int[np.ndarray, " r"]:
        """Runs whose fields have these values, by `rows(net="lenet", crop=False)`."""
        chosen = np.ones(len(self.net), bool)
        for name, value in wanted.items():
            chosen &= np.asarray(getattr(self, name)) == value
        return np.flatnonzero(chosen)

    def gains(self) -> list[str]:
        """What regularizers and architecture gain in test accuracy, in words: the paper's comparison."""
        chosen = np.asarray(self.condition) == "true labels"
        error: dict[tuple[str, bool, bool], float] = {}
        for i in np.flatnonzero(chosen):
            key = self.net[i], bool(self.crop[i]), bool(self.decay[i])
            same = chosen & (np.asarray(self.net) == key[0]) & (self.crop == key[1]) & (self.decay == key[2])
            error[key] = 100 * float(np.mean(self.test_error[same]))
        plain = {net: value for (net, crop, decay), value in error.items() if not crop and not decay}
        names = {(True, False): "crop and flip", (False, True): "weight decay", (True, True): "both"}
        told = []
        for net, base in plain.items():
            parts = [f"{name} {base - error[net, *on]:+.2f}" for on, name in names.items() if (net, *on) in error]
            rows = self.rows(net=net, condition="true labels", crop=False, decay=False)
            stopping = np.mean(self.held_out_error[rows, -1] - self.best_held_out_error[rows])
            told.append(f"Gain in % of accuracy, {net}: {', '.join(parts)}, early stopping {100 * stopping:+.2f}")
        best, worst = min(plain, key=lambda net: plain[net]), max(plain, key=lambda net: plain[net])
        if best != worst:
            told.append(f"Gain of the architecture, {best} over {worst}: {plain[worst] - plain[best]:+.2f}")
        return told


def condition_cases(
    nets: Sequence[tuple[Net, int]], *, levels: int = 11, seeds: Sequence[int] = (0,)
) -> tuple[Case, ...]:
    """Figure 1: every condition, and corruption in equal steps from 0 (true labels) to 1 (random labels).

    Args:
        nets: nets and the examples that each gets.
        levels: of corruption, at least 2.
        seeds: repeats.

    Raises:
        ValueError: there are fewer than two levels.

    Examples:
        >>> cases = condition_cases([(NETS["lenet"], 100)], levels=3)
        >>> [(case.condition, case.corruption) for case in cases[:3]], len(cases)
        ([('true labels', 0.0), ('corrupted labels', 0.5), ('random labels', 1.0)], 6)
    """
    if levels < 2:
        raise ValueError(f"Corruption needs at least the levels 0 and 1, got levels={levels}.")
    names = {0.0: "true labels", 1.0: "random labels"}
    pairs = [(names.get(p, "corrupted labels"), p) for p in np.linspace(0, 1, levels).round(6).tolist()]
    pairs += [(name, 0.0) for name in ("shuffled pixels", "random pixels", "gaussian pixels")]
    return tuple(
        Case(net, size, condition, p, seed=seed) for net, size in nets for condition, p in pairs for seed in seeds
    )


def regularizer_cases(nets: Sequence[tuple[Net, int]], *, seeds: Sequence[int] = (0,)) -> tuple[Case, ...]:
    """Table 1 and Figure 2: regularizers switched one by one, and random labels; as many rows a net as the paper has.

    A net that the paper's table lacks gets all five rows.

    Examples:
        >>> len(regularizer_cases([(net, 100) for name, net in NETS.items() if name != "lenet"]))
        19
    """
    cases = []
    for net, size in nets:
        rows = [(r.crop, r.decay, r.random_labels) for r in TABLE1 if r.net == net.name]
        every = [(crop, decay, False) for crop in (True, False) for decay in (True, False)] + [(False, False, True)]
        for crop, decay, random in rows or every:
            condition = "random labels" if random else "true labels"
            cases += [Case(net, size, condition, float(random), crop, decay, seed) for seed in seeds]
    return tuple(cases)


def width_cases(
    inputs: int, classes: int, size: int, *, ratios: Sequence[float] = RATIOS, seeds: Sequence[int] = (0,)
) -> tuple[Case, ...]:
    """Perceptrons of one hidden layer with given numbers of parameters over examples, true labels.

    The question of Bourlard and Wellekens' table: does the test error rise with p / n?

    Args:
        inputs: numbers an example.
        classes: of the labels.
        size: examples.
        ratios: parameters over examples wanted; the width is the nearest whole number, so that the ratio is not exact.
        seeds: repeats.

    Raises:
        ValueError: one hidden unit alone has more parameters than the smallest ratio allows by half.

    Examples:
        >>> [case.net.name for case in width_cases(64, 10, 1000, ratios=(1.0, 10.0))]
        ['mlp-1x13', 'mlp-1x133']
    """
    per_unit = inputs + 1 + classes
    if min(ratios) * size < classes + per_unit / 2:
        raise ValueError(
            f"{min(ratios)} parameters an example are fewer than one hidden unit has: {per_unit + classes} for "
            f"{inputs} inputs, over {size} examples. Take more examples or larger ratios."
        )
    widths = sorted({max(1, round((ratio * size - classes) / per_unit)) for ratio in ratios})
    return tuple(Case(_perceptron(width), size, seed=seed) for width in widths for seed in seeds)


@functools.cache  # one net a width, one program
def _perceptron(width: int) -> Net:
    return Net(f"mlp-1x{width}", lambda classes: MLP((width,), classes), 0.01, NETS["mlp-1x512"].weight_decay)


def randomization_tests(
    key: Key[jax.Array, ""],
    data: Data,
    cases: Sequence[Case],
    protocol: Protocol,
    *,
    folder: Path | None = None,
    on_progress: Report | None = None,
) -> RandomizationTests:
    """Train every case in one sweep: all conditions and corruption levels of a net are rows of one compiled program.

    Nothing is copied: what becomes of an example is drawn anew, from the run's key and the example's number, whenever
    it comes. Training order, initialization and minibatches are the same in all conditions of a seed.

    Args:
        key: typed key of the whole study.
        data: images with classes, as stored; they are cropped and standardized as the protocol says.
        cases: what is trained.
        protocol: how.
        folder: where finished runs are stored; a study that was interrupted goes on from there.
        on_progress: called with a stage's name, what is done and what there is in all.

    Returns:
        One row a case, in this order.

    Raises:
        ValueError: the data are no images, a size exceeds the training set, there is one class, or a training diverged.

    Examples:
        >>> import jax, lcjax as lc
        >>> cases = condition_cases([(NETS["mlp-1x512"], 40)], levels=2)
        >>> tests = randomization_tests(jax.random.key(0), lc.load_data("digits"), cases, Protocol(600, batch=20))
        >>> tests.final_train_error.tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0]
    """
    prepared = prepare(data)
    held_out = _few(prepared.validation, HELD_OUT)
    prepared = dataclasses.replace(prepared, validation=held_out)
    runs = runs_of(cases, prepared.classes, protocol)
    started = time.monotonic()
    result = sweep(
        key,
        prepared,
        runs,
        folder=runs_folder(folder, "randomize", key, runs, prepared),
        on_progress=None if on_progress is None else stage_progress(on_progress, "train"),
    )
    refuse_failures(result)
    seconds = time.monotonic() - started
    shape = np.shape(prepared.train.inputs)[1:]
    counts = np.array([count_parameters(program.model, shape) for program in runs.programs])[runs.program]
    steps, size = np.asarray(result.recorded_step), runs.columns["size"]
    to_fit = _first(steps, np.asarray(result.train_error) == 0)
    to_loss = _first(steps, np.asarray(result.train_loss) <= LOSS_RULE)
    return RandomizationTests(
        net=tuple(case.net.name for case in cases),
        condition=tuple(case.condition for case in cases),
        size=size,
        parameters=counts,
        ratio=counts / size,
        corruption=np.array([case.corruption for case in cases]),
        crop=np.array([case.crop for case in cases]),
        decay=np.array([case.decay for case in cases]),
        seed=runs.columns["seed"],
        recorded_step=steps,
        train_loss=np.asarray(result.train_loss),
        train_error=np.asarray(result.train_error),
        held_out_error=np.asarray(result.validation_error),
        final_train_error=np.asarray(result.train_error)[:, -1],
        test_error=np.asarray(result.test_error),
        best_held_out_error=np.nanmin(np.asarray(result.validation_error), axis=1),
        steps_to_fit=to_fit,
        steps_to_loss=to_loss,
        slowdown=to_fit / _on_true_labels(cases, to_fit),
        slowdown_of_loss=to_loss / _on_true_labels(cases, to_loss),
        seconds=np.asarray(seconds),
        form=result.form,
    )


def runs_of(cases: Sequence[Case], classes: int, protocol: Protocol) -> Runs:
    """The cases as a table of runs: one program for each net, with and without crop."""
    corrupt = Randomization(classes)
    kinds = list(dict.fromkeys((case.net, case.crop) for case in cases))
    programs = tuple(protocol.program(net.build(classes), corrupt, crop=crop) for net, crop in kinds)
    columns = {
        "size": np.array([case.size for case in cases]),
        "seed": np.array([case.seed for case in cases]),
        "learning_rate": np.array([case.net.learning_rate for case in cases], np.float32),
        "weight_decay": np.array([case.net.weight_decay * case.decay for case in cases], np.float32),
        "corruption": np.array([case.corruption for case in cases], np.float32),
        "pixels": np.array([CONDITIONS[case.condition][0] for case in cases]),
    }
    if not any(case.decay for case in cases):
        del columns["weight_decay"]
    return Runs(programs, np.array([kinds.index((case.net, case.crop)) for case in cases]), columns)


def _few(examples: Examples, count: int) -> Examples:
    labels = np.asarray(examples.targets)
    if len(labels) <= count:
        return examples
    order = np.sort(np.asarray(stratified_order(jax.random.key(0), labels))[:count])
    return Examples(np.asarray(examples.inputs)[order], labels[order])


def _first(steps: np.ndarray, met: np.ndarray) -> np.ndarray:
    return np.where(met.any(axis=1), steps[np.arange(len(steps)), met.argmax(axis=1)], np.nan)


def _on_true_labels(cases: Sequence[Case], values: np.ndarray) -> np.ndarray:
    plain = {
        (case.net.name, case.size, case.seed): value
        for case, value in zip(cases, values, strict=True)
        if case.condition == "true labels" and not case.crop and not case.decay
    }
    return np.array([plain.get((case.net.name, case.size, case.seed), np.nan) for case in cases])
