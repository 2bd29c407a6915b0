"""Complexity measures of a network trained on true and on random labels (Zhang et al., 2017, section 2.3)."""

import dataclasses
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.complexity.capacity import Rademacher, Stability
from lcjax.complexity.report import ComplexityReport, complexity_report
from lcjax.data.examples import Data, Examples
from lcjax.data.subsets import stratified_order
from lcjax.kernels.compilation import jit
from lcjax.records import record
from lcjax.studies.randomization.cases import Case, Images, Labels, Randomization, runs_of
from lcjax.studies.randomization.nets import Net
from lcjax.studies.randomization.recipe import RandomizationRecipe, prepare
from lcjax.studies.sweeps import refuse_failures, run_stage
from lcjax.training import Runs, SweepResult
from lcjax.training.execution.step import CORRUPTION, stream
from lcjax.training.program import Columns
from lcjax.typing import Array, KeyArray, OnProgress, Variables

__all__ = ["ComplexityStudy", "measure_complexity"]

_TESTS, _SIGNS, _SUBSET = 0, 1, 2  # random streams
_PROBES = 1000  # test points at which losses are compared
_CONDITIONS = (("true labels", 0.0), ("random labels", 1.0))


@dataclasses.dataclass(frozen=True, eq=False)
class _Replacing:
    """Randomization of a training set in which example `columns["replaced"]` is replaced by a fresh one."""

    randomization: Randomization
    images: Num[np.ndarray, "r h w c"]  # fresh examples; a run takes the one at `columns["replacement"]`
    labels: Int[np.ndarray, " r"]
    first: int  # number of the first fresh example; no other example has one of their numbers

    def __call__(
        self, key: KeyArray, number: Labels, images: Images, labels: Labels, columns: Columns, *, train: bool
    ) -> tuple[Num[jax.Array, "b h w c"], Int[jax.Array, " b"]]:
        if train:
            hit, which = number == columns["replaced"], columns["replacement"]
            image, label = jnp.asarray(self.images)[which], jnp.asarray(self.labels)[which]
            images = jnp.where(hit.reshape(-1, *[1] * image.ndim), image, images)
            labels, number = jnp.where(hit, label, labels), jnp.where(hit, self.first + which, number)
        return self.randomization(key, number, images, labels, columns, train=train)


@record
class ComplexityStudy:
    """Complexity measures of a network.

    Attributes:
        report: all measures on true and on random labels.
        rademacher: correlation of the trained network with random signs.
        stability: on true and on random labels, the change of `1 - softmax(outputs)_y` at test points when one
            training example is replaced by a fresh one and the network is trained again.
        test_error: test error on true and on random labels, `(2, r)`.
        train_error: training error on true and on random labels, `(2, r)`.
    """

    report: ComplexityReport
    rademacher: Rademacher
    stability: tuple[Stability, Stability]
    test_error: Float[np.ndarray, "2 r"]
    train_error: Float[np.ndarray, "2 r"]


def measure_complexity(
    key: KeyArray,
    data: Data,
    net: Net,
    recipe: RandomizationRecipe,
    *,
    size: int,
    seeds: Sequence[int] = (0, 1, 2),
    replacements: int = 4,
    on_progress: OnProgress | None = None,
) -> ComplexityStudy:
    """Train a network on true labels, random labels and random signs, and evaluate every complexity measure.

    All runs are rows of two sweeps, including those with one example replaced. A draw of random signs is a run on two
    classes with corruption 1, and its correlation with the signs is one minus twice the training error.

    Args:
        key: typed key.
        data: images with classes.
        net: a network without state besides its parameters (no BatchNorm).
        recipe: its training.
        size: training examples.
        seeds: seeds of the runs and of the draws of signs, at least 2.
        replacements: training examples that are replaced, one at a time, with the first seed.
        on_progress: progress callback.

    Raises:
        ValueError: there are fewer than two seeds, `replacements` is not in [1, examples], the network has state, or a
            run diverged.
    """
    if len(seeds) < 2:
        raise ValueError(f"A standard error needs at least 2 seeds, got {list(seeds)}.")
    most = min(size, len(data.validation.targets))
    if not 1 <= replacements <= most:
        raise ValueError(f"replacements must lie in [1, {most}], the examples available, got {replacements}.")
    whole = prepare(data, crop=net.side)
    model = net.build(whole.classes)
    image = jax.ShapeDtypeStruct((1, *np.shape(whole.train.inputs)[1:]), np.float32)
    if set(jax.eval_shape(model.init, jax.random.key(0), image)) != {"params"}:
        raise ValueError(f"{net.name} has state besides its parameters, for which the measures are not defined.")
    order = np.asarray(stratified_order(jax.random.fold_in(key, _SUBSET), np.asarray(whole.train.targets)))[:size]
    inputs, labels = np.asarray(whole.train.inputs)[order], np.asarray(whole.train.targets)[order]
    one = Examples(inputs[:1], labels[:1])  # nothing is chosen on the validation set
    task = dataclasses.replace(whole, train=Examples(inputs, labels), validation=one)

    def train(name: str, number: int, data: Data, runs: Runs, keep: bool) -> SweepResult:
        stream = jax.random.fold_in(key, number)
        result = run_stage(stream, data, runs, name=name, keep=keep, on_progress=on_progress)
        refuse_failures(result)
        return result

    runs = _label_runs(net, recipe, whole, task, size, seeds, replacements)
    result = train("labels", _TESTS, task, runs, keep=True)
    r = len(seeds)

    def stack(first: int, count: int) -> Variables:
        networks = [variables["params"] for variables in result.params[first : first + count] if variables is not None]
        params: Variables = jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks)
        return params

    params = stack(0, r), stack(r, r)
    held_out = whole.validation if whole.test is None else whole.test
    probes = jnp.asarray(held_out.inputs)[:_PROBES], jnp.asarray(held_out.targets)[:_PROBES]
    stability = (
        _stability(_Apply(model), stack(0, 1), stack(2 * r, replacements), *probes),
        _stability(_Apply(model), stack(r, 1), stack(2 * r + replacements, replacements), *probes),
    )
    signs = train("signs", _SIGNS, *_sign_runs(net, recipe, task, size, seeds), keep=False)
    correlation = 1 - 2 * np.asarray(signs.train_error)[:, -1]
    rademacher = Rademacher(np.mean(correlation), np.std(correlation, ddof=1) / np.sqrt(r), correlation)
    random_labels = _random_labels(jax.random.fold_in(key, _TESTS), task, seeds)
    layers = sum(jnp.ndim(leaf) > 2 for leaf in jax.tree.leaves(params[0]))
    networks = _Apply(model), *params, inputs, labels, random_labels
    report = complexity_report(key, *networks, layers=layers, rademacher=rademacher, stability=stability)
    test_error, train_error = (
        np.asarray(error)[: 2 * r].reshape(2, r) for error in (result.test_error, result.train_error[:, -1])
    )
    return ComplexityStudy(report, rademacher, stability, test_error, train_error)


def _label_runs(
    net: Net, recipe: RandomizationRecipe, whole: Data, task: Data, size: int, seeds: Sequence[int], replacements: int
) -> Runs:
    """Return runs on true and on random labels: one per seed, then one per replaced example with the first seed."""
    cases = [Case(net, size, name, p, seed=seed) for name, p in _CONDITIONS for seed in seeds]
    cases += [Case(net, size, name, p, seed=seeds[0]) for name, p in _CONDITIONS for _ in range(replacements)]
    runs = runs_of(cases, task.classes, recipe)
    numbers = sum(len(part.targets) for part in (task.train, task.validation, task.test) if part is not None)
    fresh = np.asarray(whole.validation.inputs[:replacements]), np.asarray(whole.validation.targets[:replacements])
    replacing = _Replacing(Randomization(task.classes, (0,)), *fresh, numbers)
    intact = 2 * len(seeds)
    replaced = np.tile(np.linspace(0, size - 1, replacements).astype(int), 2)
    columns = {
        **runs.columns,
        "replaced": np.concatenate([np.full(intact, -1), replaced]),
        "replacement": np.concatenate([np.zeros(intact, int), np.tile(np.arange(replacements), 2)]),
    }
    programs = tuple(dataclasses.replace(program, corrupt=replacing) for program in runs.programs)
    return Runs(programs, runs.program, columns)


def _sign_runs(net: Net, recipe: RandomizationRecipe, task: Data, size: int, seeds: Sequence[int]) -> tuple[Data, Runs]:
    """Return a task of two classes on the same inputs, and runs on random labels of it."""
    inputs = np.asarray(task.train.inputs)
    two = dataclasses.replace(
        task,
        train=Examples(inputs, np.arange(len(inputs), dtype=np.int32) % 2),
        validation=Examples(inputs[:1], np.zeros(1, np.int32)),
        test=None,
        classes=2,
    )
    return two, runs_of([Case(net, size, "random labels", 1.0, seed=seed) for seed in seeds], 2, recipe)


def _random_labels(key: KeyArray, task: Data, seeds: Sequence[int]) -> Int[jax.Array, "r n"]:
    """Return the labels on which the runs on random labels were trained, one row per seed."""
    randomize = Randomization(task.classes, (0,))
    inputs, labels = np.asarray(task.train.inputs), np.asarray(task.train.targets)
    columns = {"pixels": jnp.asarray(0), "corruption": jnp.asarray(1.0)}
    number = np.arange(len(labels))
    keys = [stream(key, seed, CORRUPTION) for seed in seeds]
    return jnp.stack([randomize(one, number, inputs, labels, columns, train=True)[1] for one in keys])


@dataclasses.dataclass(frozen=True)
class _Apply:
    """`(params, inputs) -> outputs` of a Linen module, hashable."""

    model: nn.Module

    def __call__(self, params: Variables, inputs: Num[Array, "n *shape"]) -> Float[jax.Array, "n c"]:
        outputs: jax.Array = self.model.apply({"params": params}, inputs)  # type: ignore[assignment]  # Flax: or a pair
        return outputs


@jit(static_argnames="apply")
def _stability(
    apply: Callable[[Variables, jax.Array], jax.Array],
    params: Variables,
    replaced: Variables,
    inputs: Num[jax.Array, "n *s"],
    targets: Int[jax.Array, " n"],
) -> Stability:
    """Return the changes of the loss at test points from one network (leading axis of length 1) to r others."""

    def losses(params: Variables) -> Float[jax.Array, " n"]:
        outputs = apply(params, inputs)
        at_target = jnp.arange(outputs.shape[-1]) == targets[:, None]
        return 1 - jnp.sum(jnp.where(at_target, jax.nn.softmax(outputs), 0), axis=-1)

    before = losses(jax.tree.map(lambda leaf: leaf[0], params))
    change = jnp.abs(jax.lax.map(losses, replaced) - before)
    return Stability(jnp.max(change), jnp.mean(change), jnp.max(change, axis=1))
