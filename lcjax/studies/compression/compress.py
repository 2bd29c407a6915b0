"""Smaller models: nets under several losses, pruned and quantized, with what that costs (Sharma et al., section 5)."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from flax.traverse_util import flatten_dict
from jaxtyping import Float, Int, Key

from lcjax.compression.pruning import majority_accuracy
from lcjax.data.examples import Data
from lcjax.models.parameters import parameter_count
from lcjax.papers.sharma import LOSSES
from lcjax.records import canonical_hash, record
from lcjax.studies.compression.compressed_loss import (
    TOLERANCE,
    CompressedLoss,
    Versions,
    compress_loss,
    kept_loss,
    versions_of,
)
from lcjax.studies.compression.losses import Grid, model_of, objective_of, settings_of
from lcjax.studies.compression.pictures import picture, pictured_examples
from lcjax.studies.compression.protocol import Convolutional, FullyConnected
from lcjax.studies.prediction.stages import Report, runs_folder, stage_progress
from lcjax.training import Runs, SweepResult
from lcjax.training.sweep import sweep

__all__ = ["Compression", "Diverged", "compress_nets"]

Setting = Mapping[str, float]


@record
class Diverged:
    """Trainings under one loss that came to numbers that are not finite; nothing of them is compressed.

    Attributes:
        name: of the loss.
        chosen: columns of the table of runs that they were trained with; none if every setting of the grid diverged.
        seed: of each, `(d,)`.
        step: after which it was seen, `(d,)`.
        trained: under this loss and setting in all.
    """

    name: str = jax.tree.static()
    chosen: dict[str, float]
    seed: Int[np.ndarray, " d"]
    step: Int[np.ndarray, " d"]
    trained: int = jax.tree.static()


@record
class Compression:
    """A net on a data set under several losses.

    Attributes:
        data: the data set's name.
        model: the net, in words.
        parameters: of one net without what a loss switches on.
        majority: test accuracy of always saying the largest class.
        names: of all losses, in the order given.
        losses: those under which a net is left, with the numbers of the nets that are, in that order.
        diverged: trainings that diverged, by loss, in that order; none where all went well.
        weights: weights of each layer of the first seed's net, by loss, for histograms.
        embedding: t-SNE of the outputs of the first seed's net, unpruned, pruned, quantized, `(3, n, 2)`, by loss.
        silhouette: of the classes in these pictures, `(3,)`, by loss.
        picture_classes: class of each point, `(n,)`.
    """

    data: str = jax.tree.static()
    model: str = jax.tree.static()
    parameters: int = jax.tree.static()
    majority: float
    names: tuple[str, ...] = jax.tree.static()
    losses: tuple[CompressedLoss, ...]
    diverged: tuple[Diverged, ...]
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
    protocol: FullyConnected | Convolutional | None = None,
    seeds: int = 5,
    tolerance: float | int = TOLERANCE,
    pictures: bool = True,
    folder: Path | None = None,
    on_progress: Report | None = None,
) -> Compression:
    """Train a net under each loss, prune it and quantize it, every choice made on the validation set.

    The grids of all losses are one sweep with one seed; what has the highest validation accuracy is trained with
    `seeds` other seeds, and these nets are pruned and quantized. A loss with one setting only is not tried first.
    Ours, for the paper does not say: losses and the data-dependent penalty as means over the batch, of equally accurate
    settings the one with the stronger penalty, and what the protocol says.

    Args:
        key: typed JAX key.
        data: with a test split; classes, not regression.
        model: a Linen module with a submodule `head`.
        losses: names of Table 1 joined by "+": H or S, then W2 (or W), W1, LCA, LCL, BN, D.
        grid: what is tried; the paper's grids by default.
        protocol: how nets are trained, `FullyConnected()` by default.
        seeds: of the nets that are compressed.
        tolerance: accuracy that compression may cost on the validation set.
        pictures: whether to make the t-SNE pictures, which take a few seconds each.
        folder: where trainings, and losses whose nets are compressed, are kept, to go on from.
        on_progress: called with a stage's name, work done and work in all.

    Returns:
        All numbers, test accuracy and compression ratios among them.

    Raises:
        ValueError: a loss is unknown or needs what the net has not, the data are a regression or lack a test split, or
            every training diverged.

    Examples:
        >>> import lcjax as lc
        >>> found = compress_nets(
        ...     jax.random.key(0), lc.load_data("digits"), lc.models.MLP((8,), 10), losses=("H", "H+W2"),
        ...     grid=Grid((1e-3,), (1e-6,), (0.1,)), protocol=FullyConnected(2), seeds=2, pictures=False,
        ... )  # fmt: skip
        >>> [loss.name for loss in found.losses], found.losses[0].accuracy.shape
        (['H', 'H+W2'], (2,))
    """
    if not data.classes or data.test is None:
        raise ValueError(f"compress needs classes and a test split; {data.name} has {data.classes} classes.")
    if seeds < 1 or not losses or len(set(losses)) != len(losses):
        raise ValueError(f"Need at least one seed, and losses, each once; got {seeds} and {', '.join(losses)}.")
    report = on_progress or (lambda stage, done, total: None)
    training = _Training(key, data, model, protocol or FullyConnected(), folder, report)
    tried = {name: settings_of(name, grid or Grid()) for name in losses}
    accuracy = training.choose({name: settings for name, settings in tried.items() if len(settings) > 1})
    best = {name: _best(settings, accuracy.get(name)) for name, settings in tried.items()}
    left = {name: setting for name, setting in best.items() if setting is not None}
    if not left:
        raise _nothing_left(losses)
    winners = training.repeat(left, seeds)
    rows_of = dict(zip(left, np.arange(len(left) * seeds).reshape(-1, seeds), strict=True))
    diverged = _diverged(best, rows_of, winners)
    kept = runs_folder(folder, "compressed", key, winners.runs, data)
    compressed, versions = [], {}
    for i, name in enumerate(rows_of):
        report("compress", i, len(rows_of))
        rows = [row for row in rows_of[name].tolist() if winners.status[row] == 0]
        if not rows:
            continue
        columns = {c: np.array([setting[c] for setting in tried[name]]) for c in tried[name][0]}
        columns["validation_accuracy"] = accuracy.get(name, np.full(1, np.nan))
        find = functools.partial(
            compress_loss,
            name,
            [winners.params[row] for row in rows],
            data,
            _quiet(training.model_of(name)),
            objective_of(name),
            thresholds=training.protocol.thresholds,
            tolerance=tolerance,
            chosen=dict(left[name]),
            grid=columns,
            epoch=np.asarray(winners.recorded_step)[rows[0]] * training.protocol.batch / len(data.train.targets),
            validation_curve=1 - np.asarray(winners.validation_error)[rows],
            train_accuracy=1 - np.asarray(winners.train_error)[rows, -1],
        )
        identity = canonical_hash([training.protocol.thresholds, tolerance, columns])
        file = None if kept is None else kept / f"{name}-{identity[:12]}.json"
        compressed.append(kept_loss(file, find))
        versions[name] = versions_of(compressed[-1], winners.params[rows[0]])
    report("compress", len(rows_of), len(rows_of))
    pictured = pictured_examples(data)
    drawn = {
        name: picture(_quiet(training.model_of(name)), data, pictured, nets, report, name)
        for name, nets in (versions.items() if pictures else ())
    }
    return Compression(
        data=data.name,
        model=_described(model),
        parameters=parameter_count(model, np.zeros((1, *np.shape(data.train.inputs)[1:]), np.float32)),
        majority=majority_accuracy(data.train.targets, data.test.targets),
        names=tuple(losses),
        losses=tuple(compressed),
        diverged=diverged,
        weights={name: _kernels(nets) for name, nets in versions.items()},
        embedding={name: points for name, (points, _) in drawn.items()},
        silhouette={name: scores for name, (_, scores) in drawn.items()},
        picture_classes=np.asarray(data.test.targets)[pictured],
    )


class _Training:
    """What all trainings of a study share."""

    def __init__(
        self,
        key: jax.Array,
        data: Data,
        model: nn.Module,
        protocol: FullyConnected | Convolutional,
        folder: Path | None,
        report: Report,
    ) -> None:
        self.key, self.data, self.model, self.protocol = key, data, model, protocol
        self.folder, self.report = folder, report

    def model_of(self, name: str) -> nn.Module:
        """The net of a loss."""
        return model_of(name, self.model, self.protocol.dropout)

    def choose(self, tried: Mapping[str, Sequence[Setting]]) -> dict[str, np.ndarray]:
        """Validation accuracy of every setting with one seed; nan where the training diverged."""
        if not tried:
            return {}
        result = self._sweep(tried, [0], "grid", choosing=True)
        accuracy = np.where(result.status == 0, 1 - np.asarray(result.validation_error)[:, -1], np.nan)
        ends = np.cumsum([len(settings) for settings in tried.values()])[:-1]
        return dict(zip(tried, np.split(accuracy, ends), strict=True))

    def repeat(self, best: Mapping[str, Setting], seeds: int) -> SweepResult:
        """The chosen settings, each with so many other seeds, the nets kept."""
        tried = {name: [setting] for name, setting in best.items()}
        return self._sweep(tried, range(1, seeds + 1), "winners", choosing=False)

    def _sweep(
        self, tried: Mapping[str, Sequence[Setting]], seeds: Sequence[int], stage: str, *, choosing: bool
    ) -> SweepResult:
        """One run for each setting and seed, the losses in turn; settings without a penalty have it at strength 0."""
        programs = {
            name: self.protocol.program(self.model_of(name), objective_of(name), choosing=choosing) for name in tried
        }
        distinct = tuple(dict.fromkeys(programs.values()))
        rows = [
            (distinct.index(programs[name]), seed, setting)
            for name, settings in tried.items()
            for setting in settings
            for seed in seeds
        ]
        names = sorted({name for _, _, setting in rows for name in setting})
        columns: dict[str, Any] = {name: np.array([setting.get(name, 0.0) for *_, setting in rows]) for name in names}
        columns["seed"] = np.array([seed for _, seed, _ in rows])
        columns["size"] = np.full(len(rows), len(self.data.train.targets))
        runs = Runs(distinct, np.array([program for program, *_ in rows]), columns)
        return sweep(
            self.key,
            self.data,
            runs,
            keep=np.full(len(rows), not choosing),
            folder=runs_folder(self.folder, stage, self.key, runs, self.data),
            on_progress=stage_progress(self.report, stage),
        )


def _best(settings: Sequence[Setting], accuracy: np.ndarray | None) -> Setting | None:
    """The most accurate setting; of equals the one with the stronger penalty; `None` where all diverged."""
    if accuracy is None:
        return settings[0]
    if np.isnan(accuracy).all():
        return None

    def order(i: int) -> tuple[float, ...]:
        strengths = [-value for column, value in sorted(settings[i].items()) if column != "learning_rate"]
        return (-float(np.nan_to_num(accuracy[i])), *strengths)

    return settings[min(range(len(settings)), key=order)]


def _diverged(
    best: Mapping[str, Setting | None], rows_of: Mapping[str, np.ndarray], winners: SweepResult
) -> tuple[Diverged, ...]:
    found = []
    for name, setting in best.items():
        if setting is None:
            found.append(Diverged(name, {}, np.zeros(0, int), np.zeros(0, int), 0))
            continue
        rows = rows_of[name][np.asarray(winners.status)[rows_of[name]] != 0]
        if rows.size:
            seed, step = (np.asarray(values)[rows] for values in (winners.runs.columns["seed"], winners.steps))
            found.append(Diverged(name, dict(setting), seed, step, len(rows_of[name])))
    if len(found) == len(best) and all(len(one.seed) == one.trained for one in found):
        raise _nothing_left(list(best))
    return tuple(found)


def _nothing_left(losses: Sequence[str]) -> ValueError:
    return ValueError(f"Every training under {', '.join(losses)} diverged. Smaller learning rates may help.")


def _quiet(model: nn.Module) -> nn.Module:
    """The same without dropout, which evaluation does not have: one compiled program for both."""
    return model.clone(dropout=0.0) if getattr(model, "dropout", 0.0) else model


def _kernels(nets: Versions) -> dict[str, np.ndarray]:
    return {
        "/".join(path[:-1]): np.asarray(leaf).ravel()
        for path, leaf in flatten_dict(nets.trained["params"]).items()
        if leaf.ndim > 1
    }


def _described(model: nn.Module) -> str:
    widths = getattr(model, "widths", None)
    return type(model).__name__ if widths is None else f"{len(widths)} hidden of {','.join(map(str, widths))}"
