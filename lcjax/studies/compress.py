"""Smaller models: nets under six losses, pruned and quantized, with what that costs (Sharma et al., section 5)."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key

from lcjax.complexity.vc_bound import larger_scores
from lcjax.compression.fixed_point import nearest_even, towards_zero
from lcjax.compression.pruning import PruneCurve, majority_accuracy, prune, prune_curve
from lcjax.compression.quantization import QuantizeCurve, quantize, quantize_curve
from lcjax.data.examples import Data, Examples
from lcjax.models.objectives import cross_entropy, multiclass_hinge
from lcjax.records import record
from lcjax.studies.stages import Report, runs_folder, stage_progress
from lcjax.training import Budget, InverseDecay, Program, Runs, SweepResult, epochs, sgd
from lcjax.training.engine import sweep

__all__ = ["LOSSES", "CompressedLoss", "Compression", "Grid", "compress_nets", "settings_of"]

LOSSES = ("H", "H+W2", "H+W1", "H+LCA", "H+W2+LCA", "H+W1+LCA")  # of Tables 6 to 8
OBJECTIVES = {"H": multiclass_hinge, "S": cross_entropy}
PENALTIES = {"W": "l2", "W2": "l2", "W1": "l1", "LCA": "vc", "LCL": "vc/head"}
BITS = tuple(range(16, 1, -1))
TOLERANCE = 0.01
RECORDS = 100  # looks at a winner's validation error: every fifth epoch of the paper's 500
ACTIVATIONS = 2**25  # numbers in memory while many nets are evaluated at once
PICTURED = 50  # test examples a class in the t-SNE picture


@dataclasses.dataclass(frozen=True)
class Grid:
    """What is tried for each loss; the paper's grids (section 5.1) by default.

    Attributes:
        weight: C, of the penalty on weights.
        preactivation: D, of the penalty on pre-activations.
        rate: learning rates at the first epoch.
    """

    weight: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1)
    preactivation: tuple[float, ...] = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
    rate: tuple[float, ...] = (1e-2, 1e-1)


@record
class CompressedLoss:
    """One loss: what was chosen for it, and its nets, one for each of r seeds.

    Attributes:
        name: "H+W1+LCA" and the like: objective, penalties.
        chosen: columns of the table of runs that were chosen: learning rate, penalties.
        grid: all that was tried, each `(g,)`, and its "validation_accuracy"; nan where a training diverged.
        epoch: at which the validation accuracy was looked at, `(t,)`.
        validation_curve: validation accuracy there, `(r, t)`.
        train_accuracy: in the end, `(r,)`.
        accuracy: of the test set, nothing pruned, `(r,)`.
        pruned_accuracy: of the test set at the largest compression within 1 % of the best validation accuracy, `(r,)`.
        step: that step of the curve, `(r,)`.
        ratio: non-zero parameters before by after, `(r,)`.
        bit_ratio: bits, dense, by bits stored, `(r,)`.
        live: live neurons of each layer, `(r,)`.
        pruning: the whole curve by validation accuracy, `(r, t)`.
        pruning_test: test accuracy along it, `(r, t)`.
        quantization: bits against accuracy, not pruned; `measured` has test "accuracy" and "loss", `(r, q)`.
        pruned_quantization: the same of the pruned nets.
        fewest_bits: see `QuantizeCurve.fewest_bits`, by test accuracy, `(r,)`.
        larger_scores: share of test scores that quantization enlarges, against Eq. (23), by rounding, `(r, q)`.
    """

    name: str = jax.tree.static()
    chosen: dict[str, float]
    grid: dict[str, Float[np.ndarray, " g"]]
    epoch: Float[np.ndarray, " t"]
    validation_curve: Float[np.ndarray, "r t"]
    train_accuracy: Float[np.ndarray, " r"]
    accuracy: Float[np.ndarray, " r"]
    pruned_accuracy: Float[np.ndarray, " r"]
    step: Int[np.ndarray, " r"]
    ratio: Float[np.ndarray, " r"]
    bit_ratio: dict[str, Float[np.ndarray, " r"]]
    live: dict[str, Int[np.ndarray, " r"]]
    pruning: PruneCurve
    pruning_test: Float[np.ndarray, "r t"]
    quantization: QuantizeCurve
    pruned_quantization: QuantizeCurve
    fewest_bits: Int[np.ndarray, " r"]
    larger_scores: dict[str, Float[np.ndarray, "r q"]]


@record
class Compression:
    """A net on a data set under several losses.

    Attributes:
        data: the data set's name.
        model: the net, in words.
        parameters: of one net.
        majority: test accuracy of always saying the largest class.
        losses: in the order given.
        weights: weights of each layer of the first seed's net, by loss, for histograms.
        embedding: t-SNE of the outputs of the first seed's net, unpruned, pruned, quantized, `(3, n, 2)`, by loss.
        silhouette: of the classes in these pictures, `(3,)`, by loss.
        picture_classes: class of each point, `(n,)`.
    """

    data: str = jax.tree.static()
    model: str = jax.tree.static()
    parameters: int = jax.tree.static()
    majority: float
    losses: tuple[CompressedLoss, ...]
    weights: dict[str, dict[str, np.ndarray]]
    embedding: dict[str, Float[np.ndarray, "3 n 2"]]
    silhouette: dict[str, Float[np.ndarray, "3"]]
    picture_classes: Int[np.ndarray, " n"]


def compress_nets(
    key: Key[jax.Array, ""],
    data: Data,
    model: nn.Module,
    *,
    losses: Sequence[str] = LOSSES,
    grid: Grid | None = None,
    passes: float | int = 500,
    batch: int = 100,
    seeds: int = 5,
    tolerance: float | int = TOLERANCE,
    pictures: bool = True,
    folder: Path | None = None,
    on_progress: Report | None = None,
) -> Compression:
    """Train a net under each loss, prune it and quantize it, every choice made on the validation set.

    The grids of all losses are one sweep with one seed; what has the highest validation accuracy is trained with
    `seeds` other seeds, and these nets are pruned and quantized. The rate falls as 1 / epoch. Ours, for the paper does
    not say: plain stochastic gradient descent, batches, losses and the data-dependent penalty as means over the batch,
    of equally accurate settings the one with the stronger penalty.

    Args:
        key: typed JAX key.
        data: with a test split; classes, not regression.
        model: a Linen module with a submodule `head`.
        losses: names of Table 1 joined by "+": H or S, then W2 (or W), W1, LCA, LCL.
        grid: what is tried; the paper's grids by default.
        passes: epochs.
        batch: examples a step.
        seeds: of the nets that are compressed.
        tolerance: accuracy that compression may cost on the validation set.
        pictures: whether to make the t-SNE pictures, which take a few seconds each.
        folder: where trainings are kept, to go on from.
        on_progress: called with a stage's name, work done and work in all.

    Returns:
        All numbers, test accuracy and compression ratios among them.

    Raises:
        ValueError: a loss is unknown, the data are a regression or lack a test split, or every setting diverged.

    Examples:
        >>> import lcjax as lc
        >>> found = compress_nets(
        ...     jax.random.key(0), lc.load_data("digits"), lc.MLP((8,), 10), losses=("H", "H+W2"),
        ...     grid=Grid((1e-3,), (1e-6,), (0.1,)), passes=2, seeds=2, pictures=False,
        ... )  # fmt: skip
        >>> [loss.name for loss in found.losses], found.losses[0].accuracy.shape
        (['H', 'H+W2'], (2,))
    """
    if not data.classes or data.test is None:
        raise ValueError(f"compress needs classes and a test split; {data.name} has {data.classes} classes.")
    if seeds < 1 or passes <= 0 or batch < 1:
        raise ValueError(f"Need at least one seed, pass and example a batch, got {seeds}, {passes}, {batch}.")
    report = on_progress or (lambda stage, done, total: None)
    tried = {name: settings_of(name, grid or Grid()) for name in losses}
    result = _train(key, data, model, tried, [0], passes, batch, 1, "grid", folder, report)
    accuracy = np.where(result.status == 0, 1 - np.asarray(result.validation_error)[:, -1], np.nan)
    best, columns, first = {}, {}, 0
    for name, settings in tried.items():
        found = accuracy[first : first + len(settings)]
        first += len(settings)
        if np.isnan(found).all():
            raise ValueError(f"Every training under {name} diverged. Smaller learning rates may help.")
        order = sorted(range(len(settings)), key=lambda i: (-np.nan_to_num(found[i]), *_strength(settings[i])))
        best[name] = [settings[order[0]]]
        columns[name] = {c: np.array([s.get(c, 0.0) for s in settings]) for c in settings[0]}
        columns[name]["validation_accuracy"] = found
    winners = _train(
        key, data, model, best, range(1, seeds + 1), passes, batch, RECORDS, "winners", folder, report, keep=True
    )
    compressed, nets = [], {}
    for i, name in enumerate(losses):
        rows = range(i * seeds, (i + 1) * seeds)
        report("compress", i, len(losses))
        one, net = _compressed(name, winners, rows, data, model, tolerance, best[name][0], columns[name], batch)
        compressed.append(one)
        nets[name] = net
    report("compress", len(losses), len(losses))
    pictured = _pictured(data)
    drawn = {name: _picture(model, data, pictured, net, report, name) for name, net in nets.items()} if pictures else {}
    weights = {
        name: {layer: np.asarray(leaves["kernel"]).ravel() for layer, leaves in net[0].items() if "kernel" in leaves}
        for name, net in nets.items()
    }
    return Compression(
        data=data.name,
        model=_described(model),
        parameters=sum(leaf.size for leaf in jax.tree.leaves(nets[losses[0]][0])),
        majority=majority_accuracy(data.train.targets, data.test.targets),
        losses=tuple(compressed),
        weights=weights,
        embedding={name: picture[0] for name, picture in drawn.items()},
        silhouette={name: picture[1] for name, picture in drawn.items()},
        picture_classes=np.asarray(data.test.targets)[pictured],
    )


def settings_of(name: str, grid: Grid) -> list[dict[str, float]]:
    """Every setting of one loss, as columns of the table of runs.

    Raises:
        ValueError: the loss is unknown.

    Examples:
        >>> settings_of("H+W1", Grid((1e-2,), (), (0.1,)))
        [{'learning_rate': 0.1, 'l1': 0.01}]
    """
    objective, *penalties = name.split("+")
    unknown = [part for part in penalties if part not in PENALTIES]
    if objective not in OBJECTIVES or unknown or len({PENALTIES[part] for part in penalties}) != len(penalties):
        raise ValueError(
            f"Unknown loss {name!r}: it is {' or '.join(OBJECTIVES)}, then, each once, some of {', '.join(PENALTIES)}."
        )
    settings: list[dict[str, float]] = [{"learning_rate": rate} for rate in grid.rate]
    for part in penalties:
        strengths = grid.preactivation if part.startswith("LC") else grid.weight
        settings = [{**setting, PENALTIES[part]: strength} for setting in settings for strength in strengths]
    return settings


def _strength(setting: Mapping[str, float]) -> tuple[float, ...]:
    return tuple(-value for name, value in sorted(setting.items()) if name != "learning_rate")


def _train(
    key: jax.Array,
    data: Data,
    model: nn.Module,
    tried: Mapping[str, Sequence[Mapping[str, float]]],
    seeds: Sequence[int],
    passes: float | int,
    batch: int,
    records: int,
    stage: str,
    folder: Path | None,
    report: Report,
    keep: bool = False,
) -> SweepResult:
    """One run for each setting and seed, the losses in turn; settings without a penalty have it at strength 0."""
    objectives = list(dict.fromkeys(name.split("+")[0] for name in tried))
    programs = tuple(
        Program(
            model,
            OBJECTIVES[objective],
            sgd,
            InverseDecay(math.ceil(passes)),
            batch,
            Budget(epochs=passes, records=records),
            epochs,
        )
        for objective in objectives
    )
    rows = [
        (objectives.index(name.split("+")[0]), seed, setting)
        for name, settings in tried.items()
        for setting in settings
        for seed in seeds
    ]
    names = sorted({name for _, _, setting in rows for name in setting})
    columns: dict[str, Any] = {name: np.array([setting.get(name, 0.0) for *_, setting in rows]) for name in names}
    columns["seed"] = np.array([seed for _, seed, _ in rows])
    columns["size"] = np.full(len(rows), len(data.train.targets))
    runs = Runs(programs, np.array([program for program, *_ in rows]), columns)
    return sweep(
        key,
        data,
        runs,
        keep=np.full(len(rows), keep),
        folder=runs_folder(folder, stage, key, runs, data),
        on_progress=stage_progress(report, stage),
    )


@dataclasses.dataclass(frozen=True)
class _Accuracy:
    """Accuracy, and for `loss` the mean objective, of a net's parameters on examples; hashable, so compiled once."""

    model: nn.Module
    objective: Any = None

    def __call__(self, inputs: jax.Array, targets: jax.Array, params: Any) -> Any:
        outputs: Any = self.model.apply({"params": params}, inputs)
        accuracy = jnp.mean(jnp.argmax(outputs, axis=-1) == targets)
        if self.objective is None:
            return accuracy
        return {"accuracy": accuracy, "loss": jnp.mean(self.objective(outputs, targets))}


def _seen(data: Data, examples: Examples) -> jax.Array:
    return (jnp.asarray(examples.inputs, jnp.float32) - data.offset) * data.scale


def _compressed(
    name: str,
    winners: SweepResult,
    rows: range,
    data: Data,
    model: nn.Module,
    tolerance: float | int,
    chosen: dict[str, float],
    grid: dict[str, np.ndarray],
    batch: int,
) -> tuple[CompressedLoss, tuple[Any, Any, Any]]:
    """Prune and quantize the nets of one loss; gives also the first net as it is, pruned and quantized."""
    assert data.test is not None
    failed = [row for row in rows if winners.params[row] is None]
    if failed:
        raise ValueError(f"The training under {name} diverged with seed {winners.runs.columns['seed'][failed[0]]}.")
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(winners.params[row]["params"] for row in rows))
    widest = max(leaf.shape[-1] for leaf in jax.tree.leaves(params))
    objective = OBJECTIVES[name.split("+")[0]]

    def on(examples: Examples, objective: Any = None) -> tuple[Any, int]:
        function = jax.tree_util.Partial(
            _Accuracy(model, objective), _seen(data, examples), jnp.asarray(examples.targets)
        )
        return function, max(1, ACTIVATIONS // (len(rows) * widest * len(examples.targets)))

    validation, chunk = on(data.validation)
    test, test_chunk = on(data.test)
    both, _ = on(data.test, objective)
    pruning = prune_curve(params, validation, models=True, chunk=min(chunk, 51))
    pruning_test = np.asarray(prune_curve(params, test, models=True, chunk=min(test_chunk, 51)).accuracy)
    step = np.asarray(pruning.largest_within(tolerance))
    seeds = np.arange(len(rows))
    thresholds = {layer: jnp.asarray(t)[seeds, step] for layer, t in pruning.threshold.items()}
    pruned = jax.vmap(prune)(params, thresholds).params
    options: dict[str, Any] = {
        "measure": both, "bits": BITS, "tolerance": tolerance, "models": True, "chunk": max(1, min(chunk, test_chunk))
    }  # fmt: skip
    quantization = quantize_curve(params, validation, **options)
    pruned_quantization = quantize_curve(pruned, validation, **options)
    by_test = dataclasses.replace(
        quantization,
        accuracy=quantization.measured["accuracy"],
        full_accuracy=quantization.full_measured["accuracy"],
    )
    fewest = np.asarray(by_test.fewest_bits(tolerance))
    first = jax.tree.map(lambda leaf: leaf[0], params)
    at = int(np.argmax(np.asarray(quantization.bits) <= max(int(fewest[0]), BITS[-1])))
    first_quantized = quantize(first, BITS[at], int(quantization.fraction_bits[0, at])).params
    every_step = np.asarray(winners.recorded_step)[rows[0]]
    one = CompressedLoss(
        name=name,
        chosen=chosen,
        grid=grid,
        epoch=every_step * batch / len(data.train.targets),
        validation_curve=1 - np.asarray(winners.validation_error)[list(rows)],
        train_accuracy=1 - np.asarray(winners.train_error)[list(rows), -1],
        accuracy=pruning_test[:, 0],
        pruned_accuracy=pruning_test[seeds, step],
        step=step,
        ratio=np.asarray(pruning.ratio)[seeds, step],
        bit_ratio={way: np.asarray(value)[seeds, step] for way, value in pruning.bit_ratio.items()},
        live={layer: np.asarray(value)[seeds, step] for layer, value in pruning.live.items()},
        pruning=jax.tree.map(np.asarray, pruning),
        pruning_test=pruning_test,
        quantization=jax.tree.map(np.asarray, quantization),
        pruned_quantization=jax.tree.map(np.asarray, pruned_quantization),
        fewest_bits=fewest,
        larger_scores=_larger_scores(model, data, params, quantization),
    )
    return one, (first, jax.tree.map(lambda leaf: leaf[0], pruned), first_quantized)


def _larger_scores(
    model: nn.Module, data: Data, params: Any, curve: QuantizeCurve
) -> dict[str, Float[np.ndarray, "r q"]]:
    """How often Eq. (23) fails on the head of a net, at each number of bits, by the rounding."""
    assert data.test is not None
    inputs, bits = _seen(data, data.test), jnp.asarray(curve.bits)

    def one(params: Any, fraction_bits: jax.Array, rounding: Any) -> jax.Array:
        features: Any = model.apply({"params": params}, inputs, method="features")
        augmented = jnp.pad(features, ((0, 0), (0, 1)), constant_values=1.0)

        def at(form: tuple[jax.Array, jax.Array]) -> jax.Array:
            head = quantize(params["head"], *form, rounding=rounding).params
            full = jnp.concatenate([params["head"]["kernel"], params["head"]["bias"][None]])
            small = jnp.concatenate([head["kernel"], head["bias"][None]])
            return jnp.mean(larger_scores(full, small, augmented))

        return jax.lax.map(at, (bits, fraction_bits))

    run = jax.jit(jax.vmap(one, in_axes=(0, 0, None)), static_argnums=2)
    forms = jnp.asarray(curve.fraction_bits)
    return {rounding.__name__: np.asarray(run(params, forms, rounding)) for rounding in (towards_zero, nearest_even)}


def _pictured(data: Data) -> np.ndarray:
    """The first test examples of each class."""
    assert data.test is not None
    targets = np.asarray(data.test.targets)
    return np.concatenate([np.flatnonzero(targets == c)[:PICTURED] for c in range(data.classes)])


def _picture(
    model: nn.Module, data: Data, chosen: np.ndarray, nets: Sequence[Any], report: Report, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """T-SNE of what a net's last layer says, as it is, pruned and quantized, and how well the classes separate."""
    from sklearn.manifold import TSNE
    from sklearn.metrics import silhouette_score

    assert data.test is not None
    classes = np.asarray(data.test.targets)[chosen]
    inputs = _seen(data, Examples(np.asarray(data.test.inputs)[chosen], classes))
    points, scores = [], []
    for i, params in enumerate(nets):
        report(f"t-SNE {name}", i, len(nets))
        outputs = np.asarray(model.apply({"params": params}, inputs))
        spread = 1e-6 * np.random.default_rng(0).normal(size=outputs.shape)  # a pruned net may say the same of many
        embedded = TSNE(2, random_state=0, perplexity=min(30, len(chosen) / 4)).fit_transform(outputs + spread)
        points.append(embedded)
        scores.append(silhouette_score(embedded, classes))
    report(f"t-SNE {name}", len(nets), len(nets))
    return np.stack(points), np.asarray(scores)


def _described(model: nn.Module) -> str:
    widths = getattr(model, "widths", None)
    return type(model).__name__ if widths is None else f"{len(widths)} hidden of {','.join(map(str, widths))}"
