"""Compression of networks trained under several losses, with its cost in accuracy (Sharma et al., 2019)."""

import dataclasses
from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import numpy as np
from flax.traverse_util import flatten_dict
from jaxtyping import Float, Int

from lcjax import __version__
from lcjax.data.examples import Data
from lcjax.models.parameters import parameter_count
from lcjax.papers.sharma import LOSSES
from lcjax.records import canonical_hash, record
from lcjax.studies.compression import compressed_loss
from lcjax.studies.compression.compressed_loss import TOLERANCE, CompressedLoss, Training, Versions
from lcjax.studies.compression.losses import Grid, loss_of, model_of, settings_of
from lcjax.studies.compression.pictures import embed, examples_per_class
from lcjax.studies.compression.recipes import ConvolutionalRecipe, FullyConnectedRecipe
from lcjax.studies.sweeps import ignore_progress, run_stage, runs_folder
from lcjax.training import Runs, SweepResult
from lcjax.typing import KeyArray, OnProgress, PathLike, Progress, check_key

__all__ = ["Compression", "Diverged", "compress"]

Setting = Mapping[str, float]


@record
class Diverged:
    """Runs under one loss that diverged, to an infinite or nan value; they are not compressed.

    Attributes:
        name: name of the loss.
        chosen: their setting, columns of the table of runs; empty if every setting of the grid diverged.
        seed: seed of each, `(d,)`.
        step: step at which the divergence was detected, `(d,)`.
        trained: number of runs under this loss and setting.
    """

    name: str = jax.tree.static()
    chosen: dict[str, float]
    seed: Int[np.ndarray, " d"]
    step: Int[np.ndarray, " d"]
    trained: int = jax.tree.static()


@record
class Compression:
    """A network on a data set, compressed under several losses.

    Attributes:
        data: name of the data set.
        model: the model in words.
        parameters: number of parameters, without those that a loss switches on.
        chance_error: test error of always predicting the largest class.
        names: names of all losses, in the order given.
        losses: losses with at least one network that did not diverge, in that order.
        diverged: runs that diverged, by loss, in that order; empty if none did.
        weights: weights of each layer of the first seed's network, by loss, for histograms.
        embedding: t-SNE of the first seed's outputs as trained, pruned and quantized, `(3, n, 2)`, by loss.
        silhouette: silhouette of the classes in these embeddings, `(3,)`, by loss.
        picture_classes: class of each point, `(n,)`.
    """

    data: str = jax.tree.static()
    model: str = jax.tree.static()
    parameters: int = jax.tree.static()
    chance_error: float
    names: tuple[str, ...] = jax.tree.static()
    losses: tuple[CompressedLoss, ...]
    diverged: tuple[Diverged, ...]
    weights: dict[str, dict[str, np.ndarray]]
    embedding: dict[str, Float[np.ndarray, "3 n 2"]]
    silhouette: dict[str, Float[np.ndarray, "3"]]
    picture_classes: Int[np.ndarray, " n"]


def compress(
    key: KeyArray,
    data: Data,
    model: nn.Module,
    *,
    losses: Sequence[str] = LOSSES,
    grid: Grid | None = None,
    recipe: FullyConnectedRecipe | ConvolutionalRecipe | None = None,
    seeds: int = 5,
    tolerance: float | int = TOLERANCE,
    pictures: bool = True,
    folder: PathLike | None = None,
    on_progress: OnProgress | None = None,
) -> Compression:
    """Train a network under each loss, prune it and quantize it, with every choice made on the validation set.

    The grids of all losses are one sweep with one seed. The setting with the highest validation accuracy is trained
    with `seeds` other seeds, and these networks are pruned and quantized. A loss with a single setting needs no first
    sweep. Where the paper is silent, losses and the data-dependent penalty are averaged over the batch, ties are broken
    by the stronger penalty, and the recipe decides.

    Args:
        key: typed key.
        data: the task, with classes and a test split.
        model: a Linen module with a submodule `head`.
        losses: names of Table 1 joined by "+": H or S, then W2 (or W), W1, LCA, LCL, BN, D.
        grid: hyper-parameters to try; the paper's by default.
        recipe: training of the networks; `FullyConnectedRecipe()` by default.
        seeds: number of networks to compress per loss.
        tolerance: largest loss of validation accuracy through compression.
        pictures: True to embed outputs with t-SNE, which takes a few seconds per network.
        folder: folder of finished runs and compressed losses, to resume from; nothing is stored if `None`.
        on_progress: progress callback.

    Returns:
        `Compression`; `losses` has an entry for each loss under which at least one network did not diverge.

    Raises:
        ValueError: a loss is unknown, given twice or needs a model with other attributes, there are no losses, no
            seeds, no classes or no test split, or every run diverged.

    Examples:
        >>> import lcjax as lc
        >>> compression = compress(
        ...     jax.random.key(0), lc.load_data("digits"), lc.models.MLP((8,), 10), losses=("H", "H+W2"),
        ...     grid=Grid((1e-3,), (1e-6,), (0.1,)), recipe=FullyConnectedRecipe(2), seeds=2, pictures=False,
        ... )  # fmt: skip
        >>> [loss.name for loss in compression.losses], compression.losses[0].accuracy.shape
        (['H', 'H+W2'], (2,))
    """
    check_key(key)
    if not data.classes or data.test is None:
        raise ValueError(f"compress needs classes and a test split; {data.name} has {data.classes} classes.")
    if seeds < 1 or not losses or len(set(losses)) != len(losses):
        raise ValueError(
            f"At least one seed and one loss are needed, each loss once; got {seeds} and {', '.join(losses)}."
        )
    report = on_progress or ignore_progress
    study = _Study(key, data, model, recipe or FullyConnectedRecipe(), folder, on_progress)

    # Choose a setting for each loss, and train it with every seed.
    settings = {name: settings_of(name, grid or Grid()) for name in losses}
    accuracy = study.validation_accuracy({name: tried for name, tried in settings.items() if len(tried) > 1})
    best = {name: _best_setting(tried, accuracy.get(name)) for name, tried in settings.items()}
    chosen = {name: setting for name, setting in best.items() if setting is not None}
    if not chosen:
        raise _all_diverged(losses)
    trained = study.sweep({name: [setting] for name, setting in chosen.items()}, range(1, seeds + 1), choosing=False)
    rows = dict(zip(chosen, np.arange(len(chosen) * seeds).reshape(-1, seeds), strict=True))
    diverged = _describe_divergence(best, rows, trained)

    # Prune and quantize the networks.
    compressed: list[CompressedLoss] = []
    versions: dict[str, Versions] = {}
    for i, name in enumerate(chosen):
        report(Progress("compress", i, len(chosen)))
        columns = {c: np.array([setting[c] for setting in settings[name]]) for c in settings[name][0]}
        columns["validation_accuracy"] = accuracy.get(name, np.full(1, np.nan))
        finished = [row for row in rows[name].tolist() if trained.status[row] == 0]
        if finished:
            compressed.append(study.compress(name, chosen[name], columns, trained, finished, tolerance))
            variables = trained.params[finished[0]]
            assert variables is not None
            versions[name] = compressed_loss.versions_of(compressed[-1], variables)
    report(Progress("compress", len(chosen), len(chosen)))

    pictured = examples_per_class(data)
    embeddings = {
        name: embed(study.model_of(name), data, pictured, networks, report, name)
        for name, networks in (versions.items() if pictures else ())
    }
    image = jax.ShapeDtypeStruct((1, *np.shape(data.train.inputs)[1:]), np.float32)
    return Compression(
        data=data.name,
        model=_describe(model),
        parameters=parameter_count(model, image),
        chance_error=dataclasses.replace(data, validation=data.test).chance_error(),
        names=tuple(losses),
        losses=tuple(compressed),
        diverged=diverged,
        weights={name: _kernels(networks) for name, networks in versions.items()},
        embedding={name: points for name, (points, _) in embeddings.items()},
        silhouette={name: scores for name, (_, scores) in embeddings.items()},
        picture_classes=np.asarray(data.test.targets)[pictured],
    )


@dataclasses.dataclass(frozen=True)
class _Study:
    """Settings shared by all runs of a study."""

    key: KeyArray
    data: Data
    model: nn.Module
    recipe: FullyConnectedRecipe | ConvolutionalRecipe
    folder: PathLike | None
    on_progress: OnProgress | None

    def model_of(self, name: str) -> nn.Module:
        """Return the model of a loss without dropout, so that losses with and without it share compiled evaluation."""
        model = model_of(name, self.model, self.recipe.dropout)
        return model.clone(dropout=0.0) if getattr(model, "dropout", 0.0) else model

    def validation_accuracy(self, settings: Mapping[str, Sequence[Setting]]) -> dict[str, Float[np.ndarray, " g"]]:
        """Return the validation accuracy of every setting with one seed; nan where the run diverged."""
        if not settings:
            return {}
        result = self.sweep(settings, [0], choosing=True)
        accuracy = np.where(result.status == 0, 1 - np.asarray(result.validation_error)[:, -1], np.nan)
        ends = np.cumsum([len(tried) for tried in settings.values()])[:-1]
        return dict(zip(settings, np.split(accuracy, ends), strict=True))

    def compress(
        self,
        name: str,
        chosen: Setting,
        grid: dict[str, Float[np.ndarray, " g"]],
        trained: SweepResult,
        rows: list[int],
        tolerance: float | int,
    ) -> CompressedLoss:
        """Compress the networks of one loss, or load them from the folder."""
        training = Training(
            chosen=dict(chosen),
            grid=grid,
            epoch=np.asarray(trained.recorded_step)[rows[0]] * self.recipe.batch / len(self.data.train.targets),
            validation_curve=1 - np.asarray(trained.validation_error)[rows],
            train_accuracy=1 - np.asarray(trained.train_error)[rows, -1],
        )
        folder = runs_folder(self.folder, "compressed", self.key, trained.runs, self.data)
        identity = canonical_hash([__version__, self.recipe.thresholds, tolerance, grid])
        file = None if folder is None else folder / f"{name}-{identity[:12]}.json"
        networks = [variables for variables in (trained.params[row] for row in rows) if variables is not None]
        subject = name, networks, self.data, self.model_of(name), loss_of(name), training
        return compressed_loss.load_or_make(
            file,
            lambda: compressed_loss.compress_loss(*subject, thresholds=self.recipe.thresholds, tolerance=tolerance),
        )

    def sweep(self, settings: Mapping[str, Sequence[Setting]], seeds: Sequence[int], *, choosing: bool) -> SweepResult:
        """Run each setting of each loss with each seed; penalties that a setting lacks have strength 0."""
        programs = {
            name: self.recipe.program(model_of(name, self.model, self.recipe.dropout), loss_of(name), choosing=choosing)
            for name in settings
        }
        distinct = tuple(dict.fromkeys(programs.values()))
        table = [(distinct.index(programs[name]), setting) for name, tried in settings.items() for setting in tried]
        names = sorted({name for _, setting in table for name in setting})
        columns = {name: np.array([setting.get(name, 0.0) for _, setting in table]) for name in names}
        runs = Runs(distinct, np.array([program for program, _ in table]), columns)
        runs = runs.cross(seed=seeds, size=len(self.data.train.targets))
        name, keep = ("grid", False) if choosing else ("winners", True)
        return run_stage(
            self.key, self.data, runs, name=name, folder=self.folder, keep=keep, on_progress=self.on_progress
        )


def _best_setting(settings: Sequence[Setting], accuracy: Float[np.ndarray, " g"] | None) -> Setting | None:
    """Return the most accurate setting, ties broken by the stronger penalty; None if every run diverged."""
    if accuracy is None:
        return settings[0]
    if np.isnan(accuracy).all():
        return None

    def order(i: int) -> tuple[float, ...]:
        strengths = [-value for column, value in sorted(settings[i].items()) if column != "learning_rate"]
        return (-float(np.nan_to_num(accuracy[i])), *strengths)

    return settings[min(range(len(settings)), key=order)]


def _describe_divergence(
    best: Mapping[str, Setting | None], rows: Mapping[str, Int[np.ndarray, " r"]], trained: SweepResult
) -> tuple[Diverged, ...]:
    diverged = []
    for name, setting in best.items():
        if setting is None:
            diverged.append(Diverged(name, {}, np.zeros(0, int), np.zeros(0, int), 0))
            continue
        failed = rows[name][np.asarray(trained.status)[rows[name]] != 0]
        if failed.size:
            seed, step = (np.asarray(values)[failed] for values in (trained.runs.columns["seed"], trained.steps))
            diverged.append(Diverged(name, dict(setting), seed, step, len(rows[name])))
    if len(diverged) == len(best) and all(len(one.seed) == one.trained for one in diverged):
        raise _all_diverged(list(best))
    return tuple(diverged)


def _all_diverged(losses: Sequence[str]) -> ValueError:
    return ValueError(f"Every training under {', '.join(losses)} diverged. Try smaller learning rates.")


def _kernels(networks: Versions) -> dict[str, np.ndarray]:
    return {
        "/".join(path[:-1]): np.asarray(leaf).ravel()
        for path, leaf in flatten_dict(networks.trained["params"]).items()
        if leaf.ndim > 1
    }


def _describe(model: nn.Module) -> str:
    widths = getattr(model, "widths", None)
    return type(model).__name__ if widths is None else f"{len(widths)} hidden of {','.join(map(str, widths))}"
