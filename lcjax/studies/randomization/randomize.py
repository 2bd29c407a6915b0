"""Randomization tests of Zhang et al. (2017): speed of fitting randomized data, and generalization."""

import dataclasses
import time
from collections.abc import Sequence
from typing import SupportsIndex

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from lcjax.data.examples import Data, Examples
from lcjax.data.subsets import stratified_order
from lcjax.models.parameters import parameter_count
from lcjax.records import record
from lcjax.studies.randomization.cases import Case, runs_of
from lcjax.studies.randomization.recipe import RandomizationRecipe, prepare
from lcjax.studies.sweeps import refuse_failures, run_stage
from lcjax.training import Execution, SweepResult, evaluate
from lcjax.training.evaluation import evaluate_shards
from lcjax.typing import KeyArray, OnProgress, PathLike, check_key

__all__ = ["RandomizationTests", "randomization_tests"]

LOSS_RULE = 0.1  # nats, as in the replication cited in the protocols
REGULARIZERS = ("crop", "decay", "dropout")
HELD_OUT = 2000  # validation examples that are scored at every recorded step


@record
class RandomizationTests:
    """Outcome of every run; nan where a rule was never met.

    Attributes:
        net: name of the network, one per run.
        condition: condition of each run.
        size: training examples, `(w,)`.
        parameters: number of parameters, `(w,)`.
        ratio: parameters over examples, `(w,)`.
        corruption: probability that a training label is replaced, `(w,)`.
        crop: True with random crop and flip, `(w,)`.
        decay: True with weight decay, `(w,)`.
        dropout: True with dropout, `(w,)`.
        seed: seed, `(w,)`.
        recorded_step: recorded steps, `(w, t)`.
        train_loss: training loss on the randomized examples, in nats, `(w, t)`.
        train_error: training error on the randomized examples, `(w, t)`.
        held_out_error: error on validation examples with true labels, `(w, t)`.
        final_train_error: final training error on all examples, `(w,)`.
        test_error: error on the test set with true labels, `(w,)`.
        best_held_out_error: smallest `held_out_error`, the limit of early stopping, `(w,)`.
        steps_to_fit: first recorded step without a misclassified training example, `(w,)`.
        steps_to_loss: first recorded step with a training loss of at most 0.1 nats, `(w,)`.
        slowdown: `steps_to_fit` over that of the same network and seed on true labels, unregularized, `(w,)`.
        slowdown_of_loss: the same ratio of `steps_to_loss`, `(w,)`.
        final_train_top_error: fraction of training labels not among the `top` largest outputs, `(w,)`; nan if `top=1`.
        test_top_error: the same for the test set, `(w,)`.
        top: number of outputs.
        seconds: wall-clock time of the runs, `()`; restored runs take none.
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

    def rows(self, **values: str | float | int) -> Int[np.ndarray, " r"]:
        """Return the runs whose fields have these values, as in `rows(net="lenet", crop=False)`."""
        met = [np.asarray(getattr(self, name)) == value for name, value in values.items()]
        return np.flatnonzero(np.all([np.ones(len(self.net), bool), *met], axis=0))

    @property
    def plain(self) -> Bool[np.ndarray, " w"]:
        """True for runs without regularizers."""
        regularized: np.ndarray = np.any([self.crop, self.decay, self.dropout], axis=0)
        return ~regularized

    def regularizers(self, row: SupportsIndex) -> str:
        """Return the regularizers of a run in words, "" without any."""
        words = {"crop and flip": self.crop, "weight decay": self.decay, "dropout": self.dropout}
        return ", ".join(word for word, on in words.items() if on[row])

    def gains(self) -> list[str]:
        """Return gains in test accuracy from regularizers, early stopping, BatchNorm and architecture, in words."""
        rows = [i for i, condition in enumerate(self.condition) if condition == "true labels"]
        errors: dict[tuple[str, str], list[float]] = {}
        for i in rows:
            errors.setdefault((self.net[i], self.regularizers(i)), []).append(100 * float(self.test_error[i]))
        error = {key: float(np.mean(values)) for key, values in errors.items()}
        plain = {net: value for (net, words), value in error.items() if not words}
        sentences = []
        for net, base in plain.items():
            parts = [
                f"{words} {base - value:+.2f}" for (other, words), value in error.items() if other == net and words
            ]
            plain_rows = [i for i in rows if self.net[i] == net and self.plain[i]]
            stopping = np.mean(self.held_out_error[plain_rows, -1] - self.best_held_out_error[plain_rows])
            parts.append(f"early stopping {100 * stopping:+.2f}")
            sentences.append(f"Gain in accuracy (%), {net}: {'; '.join(parts)}")
            if f"{net}-without-norm" in plain:
                sentences.append(f"Gain from BatchNorm, {net}: {plain[f'{net}-without-norm'] - base:+.2f}")
        best, worst = min(plain, key=lambda net: plain[net]), max(plain, key=lambda net: plain[net])
        if best != worst:
            sentences.append(f"Gain from the architecture, {best} over {worst}: {plain[worst] - plain[best]:+.2f}")
        return sentences


def randomization_tests(
    key: KeyArray,
    data: Data,
    cases: Sequence[Case],
    recipe: RandomizationRecipe,
    *,
    folder: PathLike | None = None,
    top: int = 1,
    on_progress: OnProgress | None = None,
) -> RandomizationTests:
    """Train every case in one sweep, in which all conditions and corruption levels of a network are compiled once.

    Randomized examples are not stored: each is drawn from the run's key and the example's number whenever it is used.
    Order, initialization and minibatches are the same in all conditions of a seed.

    Args:
        key: typed key of the whole study.
        data: images with classes, as stored; they are cropped and standardized as in the paper.
        cases: the runs, in the order of the results.
        recipe: their training.
        folder: folder of finished runs, from which an interrupted study resumes; nothing is stored if `None`.
        top: above 1, also count errors where the label is not among this many of the largest outputs, as in Table 2.
        on_progress: progress callback.

    Returns:
        `RandomizationTests`, one entry for each of w cases, in their order.

    Raises:
        ValueError: the data are not images, a size exceeds the training set, there are no classes, `top` is not in
            [1, classes], the networks take images of different sizes, or a run diverged.

    Examples:
        >>> import jax, lcjax as lc
        >>> from lcjax.studies.randomization.cases import condition_cases
        >>> from lcjax.studies.randomization.nets import NETS
        >>> cases, recipe = condition_cases([(NETS["mlp-1x512"], 40)], levels=2), RandomizationRecipe(600, batch=20)
        >>> tests = randomization_tests(jax.random.key(0), lc.load_data("digits"), cases, recipe)
        >>> tests.final_train_error.tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0]
    """
    check_key(key)
    sides = {case.net.side for case in cases}
    if len(sides) != 1:
        raise ValueError(f"The networks take crops of {sorted(sides)} pixels per side; pass them to separate calls.")
    if not 1 <= top <= max(data.classes, 1):
        raise ValueError(f"top must lie in [1, {data.classes}], the number of classes, got {top}.")
    prepared = prepare(data, crop=sides.pop())
    prepared = dataclasses.replace(prepared, validation=_take(prepared.validation, HELD_OUT))
    runs = runs_of(cases, prepared.classes, recipe)
    started = time.monotonic()
    name, keep = ("randomize", False) if top == 1 else ("randomize-kept", True)
    result = run_stage(key, prepared, runs, name=name, label="train", folder=folder, keep=keep, on_progress=on_progress)
    refuse_failures(result)
    seconds = time.monotonic() - started
    image = jax.ShapeDtypeStruct((1, *np.shape(prepared.train.inputs)[1:]), np.float32)
    parameters = np.array([parameter_count(program.model, image) for program in runs.programs])[runs.program]
    steps, size = np.asarray(result.recorded_step), runs.columns["size"]
    train_error, held_out_error = np.asarray(result.train_error), np.asarray(result.validation_error)
    steps_to_fit = _first_step(steps, train_error == 0)
    steps_to_loss = _first_step(steps, np.asarray(result.train_loss) <= LOSS_RULE)
    train_top, test_top = _top_errors(key, result, prepared, top)
    return RandomizationTests(
        net=tuple(case.net.name for case in cases),
        condition=tuple(case.condition for case in cases),
        size=size,
        parameters=parameters,
        ratio=parameters / size,
        **{name: np.array([getattr(case, name) for case in cases]) for name in ("corruption", *REGULARIZERS)},
        seed=runs.columns["seed"],
        recorded_step=steps,
        train_loss=np.asarray(result.train_loss),
        train_error=train_error,
        held_out_error=held_out_error,
        final_train_error=train_error[:, -1],
        test_error=np.asarray(result.test_error),
        best_held_out_error=np.nanmin(held_out_error, axis=1),
        steps_to_fit=steps_to_fit,
        steps_to_loss=steps_to_loss,
        slowdown=steps_to_fit / _on_true_labels(cases, steps_to_fit),
        slowdown_of_loss=steps_to_loss / _on_true_labels(cases, steps_to_loss),
        final_train_top_error=train_top,
        test_top_error=test_top,
        top=top,
        seconds=np.asarray(seconds),
        executions=result.executions,
    )


def _top_errors(
    key: KeyArray, result: SweepResult, data: Data, top: int
) -> tuple[Float[np.ndarray, " w"], Float[np.ndarray, " w"]]:
    """Return the fractions of training and test examples whose label is not among the `top` largest outputs."""
    absent = np.full(len(result.params), np.nan)
    if top == 1:
        return absent, absent
    test = absent if data.test is None else evaluate(result, data, data.test, key=key, top=top).mean(axis=1)
    return evaluate_shards(result, data, key=key, top=top), test


def _take(examples: Examples, count: int) -> Examples:
    """Return a balanced subset of the examples, at most `count`."""
    labels = np.asarray(examples.targets)
    if len(labels) <= count:
        return examples
    order = np.sort(np.asarray(stratified_order(jax.random.key(0), labels))[:count])
    return Examples(np.asarray(examples.inputs)[order], labels[order])


def _first_step(steps: Int[np.ndarray, "w t"], met: Bool[np.ndarray, "w t"]) -> Float[np.ndarray, " w"]:
    """Return the first recorded step of each run at which a rule is met; nan if it never is."""
    return np.where(met.any(axis=1), steps[np.arange(len(steps)), met.argmax(axis=1)], np.nan)


def _on_true_labels(cases: Sequence[Case], values: Float[np.ndarray, " w"]) -> Float[np.ndarray, " w"]:
    """Return, for each case, the value of the same network, size and seed on true labels without regularizers."""
    plain = {
        (case.net.name, case.size, case.seed): value
        for case, value in zip(cases, values, strict=True)
        if case.condition == "true labels" and case.plain
    }
    return np.array([plain.get((case.net.name, case.size, case.seed), np.nan) for case in cases])
