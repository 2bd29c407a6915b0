"""The randomization tests of Zhang et al. (2017): how fast nets fit the null, and what they then know."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Key

from lcjax.data.examples import Data, Examples
from lcjax.data.subsets import stratified_order
from lcjax.records import record
from lcjax.studies.prediction.stages import Report, refuse_failures, runs_folder, stage_progress
from lcjax.studies.randomization.cases import Case, runs_of
from lcjax.studies.randomization.protocol import Protocol, count_parameters, prepare
from lcjax.training.evaluation import evaluate
from lcjax.training.execution import step as steps
from lcjax.training.execution.execution import Execution
from lcjax.training.result import SweepResult
from lcjax.training.sweep import sweep

__all__ = ["RandomizationTests", "randomization_tests"]

LOSS_RULE = 0.1  # nats: as in the replication that PROTOCOLS cites
HELD_OUT = 2000  # validation examples looked at whenever a run is recorded


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
        dropout: `(w,)`.
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
        final_train_top_error: on all examples, a net being right where the label is among its `top` largest outputs,
            `(w,)`; nan where not asked for.
        test_top_error: likewise, on the test set, `(w,)`.
        top: how many outputs.
        seconds: that the trainings of this call took, `()`; those read from the folder cost nothing.
        executions: execution of each program.
    """

    net: tuple[str, ...] = jax.tree.static()
    condition: tuple[str, ...] = jax.tree.static()
    size: Int[np.ndarray, " w"]
    parameters: Int[np.ndarray, " w"]
    ratio: Float[np.ndarray, " w"]
    corruption: Float[np.ndarray, " w"]
    crop: Bool[np.ndarray, " w"]
    decay: Bool[np.ndarray, " w"]
    dropout: Bool[np.ndarray, " w"]
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
    final_train_top_error: Float[np.ndarray, " w"]
    test_top_error: Float[np.ndarray, " w"]
    top: int = jax.tree.static()
    seconds: Float[np.ndarray, ""]
    executions: tuple[Execution | None, ...] = jax.tree.static()

    def rows(self, **wanted: Any) -> Int[np.ndarray, " r"]:
        """Runs whose fields have these values, by `rows(net="lenet", crop=False)`."""
        chosen = np.ones(len(self.net), bool)
        for name, value in wanted.items():
            chosen &= np.asarray(getattr(self, name)) == value
        return np.flatnonzero(chosen)

    @property
    def plain(self) -> Bool[np.ndarray, " w"]:
        """Runs without a regularizer."""
        return ~(np.asarray(self.crop) | np.asarray(self.decay) | np.asarray(self.dropout))

    def switched_on(self, row: SupportsIndex) -> str:
        """The regularizers of a run, in words; "" without any."""
        words = {"crop and flip": self.crop, "weight decay": self.decay, "dropout": self.dropout}
        return ", ".join(word for word, on in words.items() if on[row])

    def gains(self) -> list[str]:
        """What regularizers, BatchNorm and architecture gain in test accuracy, in words: the paper's comparison."""
        chosen = [i for i, condition in enumerate(self.condition) if condition == "true labels"]
        errors: dict[tuple[str, str], list[float]] = {}
        for i in chosen:
            errors.setdefault((self.net[i], self.switched_on(i)), []).append(100 * float(self.test_error[i]))
        error = {key: float(np.mean(values)) for key, values in errors.items()}
        plain = {net: value for (net, words), value in error.items() if not words}
        told = []
        for net, base in plain.items():
            parts = [
                f"{words} {base - value:+.2f}" for (other, words), value in error.items() if other == net and words
            ]
            rows = [i for i in chosen if self.net[i] == net and self.plain[i]]
            stopping = np.mean(self.held_out_error[rows, -1] - self.best_held_out_error[rows])
            parts.append(f"early stopping {100 * stopping:+.2f}")
            told.append(f"Gain in % of accuracy, {net}: {'; '.join(parts)}")
            if f"{net}-without-norm" in plain:
                told.append(f"Gain of BatchNorm, {net}: {plain[f'{net}-without-norm'] - base:+.2f}")
        best, worst = min(plain, key=lambda net: plain[net]), max(plain, key=lambda net: plain[net])
        if best != worst:
            told.append(f"Gain of the architecture, {best} over {worst}: {plain[worst] - plain[best]:+.2f}")
        return told


def randomization_tests(
    key: Key[jax.Array, ""],
    data: Data,
    cases: Sequence[Case],
    protocol: Protocol,
    *,
    folder: Path | None = None,
    top: int = 1,
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
        top: above 1, also count a net right where the label is among so many of its largest outputs, as in Table 2.
        on_progress: called with a stage's name, what is done and what there is in all.

    Returns:
        One row a case, in this order.

    Raises:
        ValueError: the data are no images, a size exceeds the training set, there is one class, `top` is not in
            [1, classes], the nets see images of different sizes, or a training diverged.

    Examples:
        >>> import jax, lcjax as lc
        >>> from lcjax.studies.randomization.cases import condition_cases
        >>> from lcjax.studies.randomization.protocol import NETS
        >>> cases = condition_cases([(NETS["mlp-1x512"], 40)], levels=2)
        >>> tests = randomization_tests(jax.random.key(0), lc.load_data("digits"), cases, Protocol(600, batch=20))
        >>> tests.final_train_error.tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0]
    """
    sides = {case.net.side for case in cases}
    if len(sides) != 1:
        raise ValueError(f"The nets see centres of {sorted(sides)} pixels a side: give them to separate calls.")
    if not 1 <= top <= max(data.classes, 1):
        raise ValueError(f"top must lie in [1, {data.classes}], the classes, got {top}.")
    prepared = prepare(data, crop=sides.pop())
    held_out = _few(prepared.validation, HELD_OUT)
    prepared = dataclasses.replace(prepared, validation=held_out)
    runs = runs_of(cases, prepared.classes, protocol)
    started = time.monotonic()
    result = sweep(
        key,
        prepared,
        runs,
        keep=np.full(len(cases), top > 1),
        folder=runs_folder(folder, "randomize" if top == 1 else "randomize-kept", key, runs, prepared),
        on_progress=None if on_progress is None else stage_progress(on_progress, "train"),
    )
    refuse_failures(result)
    seconds = time.monotonic() - started
    shape = np.shape(prepared.train.inputs)[1:]
    counts = np.array([count_parameters(program.model, shape) for program in runs.programs])[runs.program]
    recorded, size = np.asarray(result.recorded_step), runs.columns["size"]
    to_fit = _first(recorded, np.asarray(result.train_error) == 0)
    to_loss = _first(recorded, np.asarray(result.train_loss) <= LOSS_RULE)
    train_top, test_top = _top_errors(key, result, prepared, top)
    return RandomizationTests(
        net=tuple(case.net.name for case in cases),
        condition=tuple(case.condition for case in cases),
        size=size,
        parameters=counts,
        ratio=counts / size,
        corruption=np.array([case.corruption for case in cases]),
        crop=np.array([case.crop for case in cases]),
        decay=np.array([case.decay for case in cases]),
        dropout=np.array([case.dropout for case in cases]),
        seed=runs.columns["seed"],
        recorded_step=recorded,
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
        final_train_top_error=train_top,
        test_top_error=test_top,
        top=top,
        seconds=np.asarray(seconds),
        executions=result.executions,
    )


def _top_errors(key: Any, result: SweepResult, data: Data, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of wrong training and test examples, a net being right where the label is among `top` outputs."""
    w = len(result.params)
    train, test = np.full(w, np.nan), np.full(w, np.nan)
    if top == 1:
        return train, test
    if data.test is not None:
        test = evaluate(result, data, data.test, key=key, top=top).mean(axis=1)
    resident = jax.device_put(data)
    for row in range(w):
        shard, columns = result.shard(row), {name: column[row] for name, column in result.runs.columns.items()}
        score = steps.score(
            result.params[row],
            columns,
            resident,
            resident.train,
            jnp.asarray(shard),
            jnp.int32(len(shard)),
            steps.stream(key, int(columns["seed"]), steps.CORRUPTION),
            jnp.int32(0),
            program=result.runs.programs[result.runs.program[row]],
            train=True,
            top=top,
        )
        train[row] = float(score.error)
    return train, test


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
        if case.condition == "true labels" and case.plain
    }
    return np.array([plain.get((case.net.name, case.size, case.seed), np.nan) for case in cases])
