"""Complexity measures of one net trained on true and on random labels: which of them tells the two apart?"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Key

from lcjax.complexity.capacity import Rademacher, Stability
from lcjax.complexity.report import ComplexityReport, complexity_report
from lcjax.data.examples import Data, Examples
from lcjax.data.subsets import stratified_order
from lcjax.kernels.compilation import jit
from lcjax.records import record
from lcjax.studies.prediction.stages import Report, refuse_failures, stage_progress
from lcjax.studies.randomization.cases import Case, Randomization, runs_of
from lcjax.studies.randomization.protocol import Net, Protocol, prepare
from lcjax.training.execution.step import CORRUPTION, stream
from lcjax.training.result import SweepResult
from lcjax.training.runs import Runs
from lcjax.training.sweep import sweep

__all__ = ["ComplexityStudy", "measure_complexity"]

_TESTS, _SIGNS, _SUBSET = 0, 1, 2  # streams
_PROBES = 1000  # test points at which losses are compared


@dataclasses.dataclass(frozen=True, eq=False)
class _Replacing:
    """The randomization of a training set, the example numbered `columns["replaced"]` of which is a fresh one.

    Attributes:
        see: the randomization.
        images: fresh examples; the run takes the one at `columns["replacement"]`.
        labels: theirs.
        first: number of the first of them; no other example has these numbers.
    """

    see: Randomization
    images: Any
    labels: Any
    first: int

    def __call__(self, key: Any, number: Any, images: Any, labels: Any, columns: Any, *, train: bool) -> Any:
        if train:
            hit, which = number == columns["replaced"], columns["replacement"]
            fresh, wanted = jnp.asarray(self.images)[which], jnp.asarray(self.labels)[which]
            images = jnp.where(hit.reshape(-1, *[1] * fresh.ndim), fresh, images)
            labels, number = jnp.where(hit, wanted, labels), jnp.where(hit, self.first + which, number)
        return self.see(key, number, images, labels, columns, train=train)


@record
class ComplexityStudy:
    """What `measure_complexity` gives.

    Attributes:
        report: the table.
        rademacher: of the net on these inputs: its fit to random signs.
        stability: on true and on random labels: change of `1 - softmax(outputs)_y` at test points when one training
            example is replaced by a fresh one and the net is trained again.
        test_error: `(2, r)`, on true and on random labels.
        train_error: likewise.
    """

    report: ComplexityReport
    rademacher: Rademacher
    stability: tuple[Stability, Stability]
    test_error: Float[np.ndarray, "2 r"]
    train_error: Float[np.ndarray, "2 r"]


def measure_complexity(
    key: Key[jax.Array, ""],
    data: Data,
    net: Net,
    protocol: Protocol,
    *,
    size: int,
    seeds: Sequence[int] = (0, 1, 2),
    replacements: int = 4,
    on_progress: Report | None = None,
) -> ComplexityStudy:
    """Train a net on true labels, on random labels and on random signs, and work out every complexity measure.

    All trainings are rows of two sweeps, those with one example replaced among them. A draw of random signs is a
    training on two classes with corruption 1, and its correlation with the signs is one minus twice the training error.

    Args:
        key: typed key.
        data: images with classes.
        net: without state beside its parameters (no BatchNorm).
        protocol: how it is trained.
        size: examples.
        seeds: repeats, at least 2; draws of signs as many.
        replacements: training examples replaced, one at a time, with the first seed.
        on_progress: called with a stage's name, what is done and what there is in all.

    Returns:
        The table and what went into it.

    Raises:
        ValueError: there are fewer than two seeds, no replacements or more than examples, the net has state, or a
            training diverged.
    """
    if len(seeds) < 2:
        raise ValueError(f"A standard error needs at least 2 seeds, got {list(seeds)}.")
    if not 1 <= replacements <= min(size, len(data.validation.targets)):
        raise ValueError(
            f"replacements must lie in [1, {min(size, len(data.validation.targets))}], the examples there are to take "
            f"out and to put in, got {replacements}."
        )
    prepared = prepare(data, crop=net.side)
    model, shape = net.build(prepared.classes), np.shape(prepared.train.inputs)[1:]
    if set(jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape)))) != {"params"}:
        raise ValueError(f"{net.name} has state beside its parameters: its measures are not defined here.")
    order = np.asarray(stratified_order(jax.random.fold_in(key, _SUBSET), np.asarray(prepared.train.targets)))[:size]
    inputs, labels = np.asarray(prepared.train.inputs)[order], np.asarray(prepared.train.targets)[order]
    fresh = Examples(prepared.validation.inputs[:replacements], prepared.validation.targets[:replacements])
    probes = prepared.validation if prepared.test is None else prepared.test
    one = Examples(inputs[:1], labels[:1])  # for validation: nothing is chosen
    prepared = dataclasses.replace(prepared, train=Examples(inputs, labels), validation=one)

    def trained(stage: str, number: int, data: Data, runs: Runs, keep: bool) -> SweepResult:
        progress = None if on_progress is None else stage_progress(on_progress, stage)
        w = len(runs.program)
        result = sweep(jax.random.fold_in(key, number), data, runs, keep=np.full(w, keep), on_progress=progress)
        refuse_failures(result)
        return result

    conditions = (("true labels", 0.0), ("random labels", 1.0))
    cases = [Case(net, size, name, p, seed=seed) for name, p in conditions for seed in seeds]
    cases += [Case(net, size, name, p, seed=seeds[0]) for name, p in conditions for _ in range(replacements)]
    numbers = len(prepared.train.targets) + 1 + (0 if prepared.test is None else len(prepared.test.targets))
    replacing = _Replacing(Randomization(prepared.classes, (0,)), fresh.inputs, fresh.targets, numbers)
    runs = runs_of(cases, prepared.classes, protocol)
    r = len(seeds)
    spread = np.linspace(0, size - 1, replacements).astype(int)
    runs = Runs(
        tuple(dataclasses.replace(program, corrupt=replacing) for program in runs.programs),
        runs.program,
        {
            **runs.columns,
            "replaced": np.concatenate([np.full(2 * r, -1), spread, spread]),
            "replacement": np.concatenate([np.zeros(2 * r, int), np.arange(replacements), np.arange(replacements)]),
        },
    )
    result = trained("labels", _TESTS, prepared, runs, True)

    def stacked(first: int, count: int) -> Any:
        nets = [variables["params"] for variables in result.params[first : first + count]]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *nets)

    params = [stacked(0, r), stacked(r, r)]
    stability = tuple(
        _stability(
            _Apply(model),
            stacked(i * r, 1),
            stacked(2 * r + i * replacements, replacements),
            jnp.asarray(probes.inputs)[:_PROBES],
            jnp.asarray(probes.targets)[:_PROBES],
        )
        for i in range(2)
    )
    see, sweep_key = Randomization(prepared.classes, (0,)), jax.random.fold_in(key, _TESTS)
    columns, number = {"pixels": 0, "corruption": 1.0}, np.arange(len(labels))
    drawn = [see(stream(sweep_key, seed, CORRUPTION), number, inputs, labels, columns, train=True)[1] for seed in seeds]
    two = dataclasses.replace(
        prepared,
        train=Examples(inputs, np.arange(len(labels), dtype=np.int32) % 2),
        validation=Examples(inputs[:1], np.zeros(1, np.int32)),
        test=None,
        classes=2,
    )
    of_signs = runs_of([Case(net, size, "random labels", 1.0, seed=seed) for seed in seeds], 2, protocol)
    signs = trained("signs", _SIGNS, two, of_signs, False)
    correlation = 1 - 2 * np.asarray(signs.train_error)[:, -1]
    rademacher = Rademacher(np.mean(correlation), np.std(correlation, ddof=1) / np.sqrt(r), correlation)
    table = complexity_report(
        key,
        _Apply(model),
        params[0],
        params[1],
        inputs,
        labels,
        jnp.stack(drawn),
        layers=sum(jnp.ndim(leaf) > 2 for leaf in jax.tree.leaves(params[0])),
        rademacher=rademacher,
        stability=(stability[0], stability[1]),
    )
    test_error, train_error = (
        np.asarray(error)[: 2 * r].reshape(2, r) for error in (result.test_error, result.train_error[:, -1])
    )
    return ComplexityStudy(table, rademacher, (stability[0], stability[1]), test_error, train_error)


@jit(static_argnames="apply")
def _stability(apply: Any, params: Any, replaced: Any, inputs: Any, targets: Any) -> Stability:
    """Changes of the loss at test points from one net, leading axis 1, to r nets trained with another example."""

    def losses(params: Any) -> jax.Array:
        outputs = apply(params, inputs)
        own = jnp.arange(outputs.shape[-1]) == targets[:, None]
        return 1 - jnp.sum(jnp.where(own, jax.nn.softmax(outputs), 0), axis=-1)

    before = losses(jax.tree.map(lambda leaf: leaf[0], params))
    change = jnp.abs(jax.lax.map(losses, replaced) - before)
    return Stability(jnp.max(change), jnp.mean(change), jnp.max(change, axis=1))


@dataclasses.dataclass(frozen=True)
class _Apply:
    """`(params, inputs) -> outputs` of a Linen module, hashable."""

    model: Any

    def __call__(self, params: Any, inputs: Any) -> Any:
        return self.model.apply({"params": params}, inputs)
