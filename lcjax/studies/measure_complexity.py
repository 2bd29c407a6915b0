"""Complexity measures of one net trained on true and on random labels: which of them tells the two apart?"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Key

from lcjax.complexity.capacity import Rademacher
from lcjax.complexity.report import ComplexityReport, complexity_report
from lcjax.data.examples import Data, Examples
from lcjax.data.subsets import stratified_order
from lcjax.records import record
from lcjax.studies.randomize import Case, Randomization, runs_of
from lcjax.studies.stages import Report, refuse_failures, stage_progress
from lcjax.studies.zhang_protocol import Net, Protocol, prepare
from lcjax.training.engine import sweep
from lcjax.training.runs import SweepResult
from lcjax.training.steps import CORRUPTION, stream

__all__ = ["ComplexityStudy", "measure_complexity"]

_TESTS, _SIGNS, _SUBSET = 0, 1, 2  # streams


@record
class ComplexityStudy:
    """What `measure_complexity` gives.

    Attributes:
        report: the table.
        rademacher: of the net on these inputs: its fit to random signs.
        test_error: `(2, r)`, on true and on random labels.
        train_error: likewise.
    """

    report: ComplexityReport
    rademacher: Rademacher
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
    on_progress: Report | None = None,
) -> ComplexityStudy:
    """Train a net on true labels, on random labels and on random signs, and work out every complexity measure.

    All trainings are rows of two sweeps; a draw of random signs is a training on two classes with corruption 1, and its
    correlation with the signs is one minus twice the training error.

    Args:
        key: typed key.
        data: images with classes.
        net: without state beside its parameters (no BatchNorm).
        protocol: how it is trained.
        size: examples.
        seeds: repeats, at least 2; draws of signs as many.
        on_progress: called with a stage's name, what is done and what there is in all.

    Returns:
        The table and what went into it.

    Raises:
        ValueError: there are fewer than two seeds, the net has state, or a training diverged.

    Examples:
        >>> import jax, lcjax as lc
        >>> from lcjax.studies.zhang_protocol import NETS
        >>> protocol = Protocol(400, batch=20)
        >>> digits = lc.load_data("digits")
        >>> study = measure_complexity(jax.random.key(0), digits, NETS["mlp-1x512"], protocol, size=40, seeds=(0, 1))
        >>> print(study.rademacher.value > 0.9, study.test_error[1].min() > study.test_error[0].max())
        True True
    """
    if len(seeds) < 2:
        raise ValueError(f"A standard error needs at least 2 seeds, got {list(seeds)}.")
    prepared = prepare(data)
    model, shape = net.build(prepared.classes), np.shape(prepared.train.inputs)[1:]
    if set(jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape)))) != {"params"}:
        raise ValueError(f"{net.name} has state beside its parameters: its measures are not defined here.")
    order = np.asarray(stratified_order(jax.random.fold_in(key, _SUBSET), np.asarray(prepared.train.targets)))[:size]
    inputs, labels = np.asarray(prepared.train.inputs)[order], np.asarray(prepared.train.targets)[order]
    one = Examples(inputs[:1], labels[:1])  # for validation: nothing is chosen
    prepared = dataclasses.replace(prepared, train=Examples(inputs, labels), validation=one)

    def trained(stage: str, number: int, data: Data, cases: Sequence[Case], keep: bool) -> SweepResult:
        runs = runs_of(cases, data.classes, protocol)
        progress = None if on_progress is None else stage_progress(on_progress, stage)
        result = sweep(
            jax.random.fold_in(key, number), data, runs, keep=np.full(len(cases), keep), on_progress=progress
        )
        refuse_failures(result)
        return result

    conditions = (("true labels", 0.0), ("random labels", 1.0))
    cases = [Case(net, size, name, p, seed=seed) for name, p in conditions for seed in seeds]
    result = trained("labels", _TESTS, prepared, cases, True)
    r = len(seeds)
    params = [
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *[variables["params"] for variables in part])
        for part in (result.params[:r], result.params[r:])
    ]
    see, sweep_key = Randomization(prepared.classes), jax.random.fold_in(key, _TESTS)
    columns, number = {"pixels": 0, "corruption": 1.0}, np.arange(len(labels))
    drawn = [see(stream(sweep_key, seed, CORRUPTION), number, inputs, labels, columns, train=True)[1] for seed in seeds]
    two = dataclasses.replace(
        prepared,
        train=Examples(inputs, np.arange(len(labels), dtype=np.int32) % 2),
        validation=Examples(inputs[:1], np.zeros(1, np.int32)),
        test=None,
        classes=2,
    )
    signs = trained("signs", _SIGNS, two, [Case(net, size, "random labels", 1.0, seed=seed) for seed in seeds], False)
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
    )
    test_error = np.asarray(result.test_error).reshape(2, r)
    return ComplexityStudy(table, rademacher, test_error, np.asarray(result.train_error)[:, -1].reshape(2, r))


@dataclasses.dataclass(frozen=True)
class _Apply:
    """`(params, inputs) -> outputs` of a Linen module, hashable."""

    model: Any

    def __call__(self, params: Any, inputs: Any) -> Any:
        return self.model.apply({"params": params}, inputs)
