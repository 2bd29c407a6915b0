"""Predict a learning curve: small trainings, features, dimension, radius, and the error at every size.

The prediction uses training and validation data only. It is written down before any test label is read; then the test
error of every trained net is measured and the prediction is scored on the sizes that it was not fitted to.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Key

from lcjax.curves.fit.fit_curve import fit_curve
from lcjax.curves.forms import power_law
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.standard_errors import bootstrap_error, curve_from_mistakes
from lcjax.data.examples import Data, Examples
from lcjax.data.subsets import shard_sizes
from lcjax.files import write_json
from lcjax.kernels.compilation import jit
from lcjax.provenance import environment
from lcjax.records import record
from lcjax.studies.prediction.bottlenecks import WIDTHS, measure_dimension
from lcjax.studies.prediction.caveats import caveats
from lcjax.studies.prediction.record import Prediction, SizeForTarget
from lcjax.studies.prediction.stages import Report, refuse_failures, runs_folder, stage_progress
from lcjax.studies.prediction.table_three import FRACTIONS, PaperRow, side_by_side
from lcjax.studies.recipes import Recipe
from lcjax.theory.gaussian import Gaussian, fit_gaussian, fit_pca, is_full_rank
from lcjax.theory.laws import hypercube, poisson
from lcjax.theory.radius_fit import fit_radius, size_for_error
from lcjax.training.evaluation import evaluate, features
from lcjax.training.result import SweepResult
from lcjax.training.runs import Runs
from lcjax.training.sweep import sweep

__all__ = ["FRACTIONS", "predict_learning_curve"]

Array = jax.Array | np.ndarray

FIT_BELOW = 0.5  # of the training set: larger shards are held out; the features come from a shard of this size
LEVEL = 0.9  # of every interval
LARGEST_SIZE = 1e15  # what needs more examples is reported as never reached


def predict_learning_curve(
    key: Key[jax.Array, ""],
    data: Data,
    recipe: Recipe,
    *,
    fractions: Sequence[float] = FRACTIONS,
    seeds: int = 5,
    dimension: int | None = None,
    widths: Sequence[int] = WIDTHS,
    margin: float | None = None,
    laws: Sequence[Callable[..., Any]] = (hypercube, poisson),
    target_error: float | None = None,
    beyond: float = 10.0,
    paper_protocol: bool = False,
    draws: int = 200,
    row: PaperRow | None = None,
    folder: str | Path | None = None,
    on_progress: Report | None = None,
) -> Prediction:
    """Predict the learning curve of a net on a task, and score the prediction on held-out sizes.

    Bisla et al. (2021), section 4.2: train on balanced nested shards; take features from the nets trained on half of
    the data; find the effective dimension; fit Gaussians to the features projected on it; fit the radius of the
    error model to the shards below half of the data; predict the rest. Beside it, a power law without theory
    is fitted to the same points. Intervals are of a two-way bootstrap over seeds and examples, each draw with the
    Gaussians of one seed: they hold what repeating the measurement would change, not what the model gets wrong.

    Args:
        key: typed key of every random stream.
        data: the task, with training, validation and test split.
        recipe: the net and how it is trained.
        fractions: shares of the training set, each in (0, 1]; at least two below one half. One half is added.
        seeds: trainings of every shard.
        dimension: effective dimension; measured with bottlenecks if `None`.
        widths: bottleneck widths to try.
        margin: loss of accuracy up to which a bottleneck counts as not inferior; the recipe's if `None`.
        laws: laws of the nearest-neighbour distance.
        target_error: error in (0, 1) whose size is sought, or `None`.
        beyond: how far to predict, as a multiple of the training set.
        paper_protocol: fit to test errors and test features, as the paper does. The prediction then has
            seen the test labels of the fitted sizes.
        draws: bootstrap draws.
        row: of the paper's Table 3, written to `result.json` beside ours.
        folder: where finished trainings, `prediction.json` and `result.json` are kept; nothing is written if `None`.
        on_progress: called with a stage's name, steps done and steps in all.

    Returns:
        The prediction with its measured test errors.

    Raises:
        ValueError: an argument is outside its range, a training diverged, features are not finite, or the covariance
            of the features is singular at the dimension asked for.

    Examples:
        >>> import jax, lcjax as lc
        >>> from lcjax.studies.recipes import mlp_recipe
        >>> data = lc.load_data("digits")
        >>> recipe = mlp_recipe(data).with_budget(steps=50)
        >>> prediction = lc.predict_learning_curve(jax.random.key(0), data, recipe, seeds=1, dimension=2, draws=8)
        >>> sorted(prediction.predicted)
        ['hypercube', 'poisson', 'power_law']
    """
    started = time.monotonic()
    margin = recipe.margin if margin is None else margin
    test_split = _check(data, fractions, seeds, target_error, beyond, margin, draws)
    _check_dimension(recipe, data, [dimension] if dimension is not None else widths)
    folder = None if folder is None else Path(folder)
    report = on_progress or (lambda stage, done, total: None)
    withheld = data.without_test()
    n = len(data.train.targets)
    fractions = sorted({*fractions, FIT_BELOW})
    size = shard_sizes(n, fractions, classes=data.classes)
    fitted = np.asarray(fractions) < FIT_BELOW
    half = fractions.index(FIT_BELOW)
    key_train, key_bootstrap, key_gaussian = (jax.random.fold_in(key, stream) for stream in range(3))

    runs = _table(recipe, size, seeds)
    trained = sweep(
        key_train,
        withheld,
        runs,
        keep=np.ones(len(runs.program), bool),
        folder=runs_folder(folder, "shards", key_train, runs, data),
        on_progress=stage_progress(report, f"train {len(runs.program)} nets"),
    )
    refuse_failures(trained)
    shape = (seeds, len(size))
    validation_wrong = trained.validation_wrong.reshape(*shape, -1)
    train_error = trained.train_error[:, -1].reshape(shape).mean(axis=0)
    validation = curve_from_mistakes(size, validation_wrong, train_error=train_error)
    basis_wrong, basis, other = validation_wrong, validation, data.validation
    if paper_protocol:
        basis_wrong, other = evaluate(trained, data, test_split).reshape(*shape, -1), test_split
        basis = curve_from_mistakes(size, basis_wrong)

    reference = [seed * len(size) + half for seed in range(seeds)]
    bottleneck = None
    if dimension is None:
        bottleneck = measure_dimension(
            key_train,
            withheld,
            recipe,
            trained,
            reference,
            widths=widths,
            margin=margin,
            folder=folder,
            on_progress=on_progress,
        )
        dimension = int(bottleneck.estimate.value)

    train, test = _gaussians(trained, reference, withheld, other.inputs, dimension)
    ask = None if target_error is None else jnp.asarray(target_error)
    grid = np.unique(np.concatenate([size, np.round(np.geomspace(size[0], beyond * n, 60))])).astype(float)
    drawn_error = bootstrap_error(key_bootstrap, basis_wrong[:, fitted], draws=draws)
    chosen = jax.random.randint(key_gaussian, (draws,), 0, seeds)
    points = LearningCurve(
        size[fitted].astype(float),
        np.asarray(basis.error)[fitted],
        np.asarray(basis.standard_error)[fitted],
        test_count=np.asarray(basis_wrong.shape[-1]),
    )

    predicted: dict[str, LearningCurve] = {}
    size_for_target: dict[str, SizeForTarget] = {}
    interval: dict[str, Array] = {}
    radius: dict[str, Array] = {}
    converged: dict[str, Array] = {}
    rows = np.concatenate([np.tile(points.error, (seeds, 1)), drawn_error])
    seed_of_row = np.concatenate([np.arange(seeds), chosen])
    report("fit and bootstrap", 0, 1)
    with ThreadPoolExecutor() as pool:  # each law is a compilation of some seconds on one core
        fits_by_law = pool.map(lambda law: _theory(rows, points, train, test, seed_of_row, grid, ask, law=law), laws)
    for law, fits in zip(laws, fits_by_law, strict=True):
        name = law.__name__
        radius[name], converged[name] = fits.radius[:seeds], jnp.all(fits.converged)
        predicted[name], interval[name] = _summary(grid, fits.error, seeds)
        if fits.size is not None:
            size_for_target[name] = _size_for_target(fits.size, seeds)
    fits = _power_law(rows[seeds - 1 :], points, grid, ask)
    predicted["power_law"], interval["power_law"] = _summary(grid, fits.error, 1)
    if fits.size is not None:
        size_for_target["power_law"] = _size_for_target(fits.size, 1)
    report("fit and bootstrap", 1, 1)
    prediction = Prediction(
        measured=None,
        validation=validation,
        fitted=fitted,
        dimension=np.asarray(dimension),
        bottleneck=bottleneck,
        train=train,
        test=test,
        radius=radius,
        converged=converged,
        exponent=np.asarray(fits.exponent)[0],
        predicted=predicted,
        interval=interval,
        size_for_target=size_for_target,
        held_out_log_error={},
        paper_protocol=paper_protocol,
    )
    configuration = {
        "data": data.name,
        "fingerprint": data.fingerprint(),
        "splits": {"train": n, "validation": len(data.validation.targets), "test": len(test_split.targets)},
        "recipe": recipe,
        "fractions": fractions,
        "seeds": seeds,
        "key": np.asarray(jax.random.key_data(key)),
        "widths": widths,
        "margin": margin,
        "laws": laws,
        "target_error": target_error,
        "beyond": beyond,
        "draws": draws,
        "paper_protocol": paper_protocol,
    }
    made_with: dict[str, Any] = {"configuration": configuration, "environment": environment()}
    if folder is not None:
        write_json(folder / "prediction.json", {**made_with, "prediction": prediction})

    # Only from here on are test labels read (the paper's protocol aside).
    test_wrong = basis_wrong if paper_protocol else evaluate(trained, data, test_split).reshape(*shape, -1)
    measured = curve_from_mistakes(size, test_wrong, train_error=train_error)
    at = np.searchsorted(grid, size[~fitted])
    with np.errstate(divide="ignore"):
        held_out = {
            name: np.log(np.asarray(curve.error)[at] / np.asarray(measured.error)[~fitted])
            for name, curve in predicted.items()
        }
    prediction = dataclasses.replace(prediction, measured=measured, held_out_log_error=held_out)
    if folder is not None:
        made_with["seconds"] = time.monotonic() - started  # less where finished trainings were found in the folder
        made_with["caveats"] = caveats(prediction, guessing_error=data.guessing_error(), target_error=target_error)
        if row is not None:
            made_with["table_3"] = side_by_side(row, prediction)
        write_json(folder / "result.json", {**made_with, "prediction": prediction})
    return prediction


def _check(
    data: Data,
    fractions: Sequence[float],
    seeds: int,
    target_error: float | None,
    beyond: float,
    margin: float,
    draws: int,
) -> Examples:
    """The test split, if every argument is in its range."""
    if data.test is None:
        raise ValueError(f"The data {data.name!r} have no test split to score the prediction on.")
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}.")
    if sum(0 < fraction < FIT_BELOW for fraction in fractions) < 2:
        raise ValueError(f"At least two fractions below {FIT_BELOW} are needed to fit, got {tuple(fractions)}.")
    if target_error is not None and not 0 < target_error < 1:
        raise ValueError(f"target_error must lie in (0, 1), got {target_error}.")
    if not beyond >= 1:
        raise ValueError(f"beyond must be at least 1, got {beyond}.")
    if not 0 <= margin <= 1:
        raise ValueError(f"margin must lie in [0, 1], got {margin}.")
    if draws < 2:
        raise ValueError(f"An interval needs at least 2 draws, got {draws}.")
    return data.test


def _check_dimension(recipe: Recipe, data: Data, dimensions: Sequence[int]) -> None:
    """Refuse more dimensions than the net has features before anything is trained."""
    columns: dict[str, Any] = dict.fromkeys(recipe.program.model_columns, 1)

    def features_of(inputs: Array) -> Array:
        return recipe.program.model.init_with_output(jax.random.key(0), inputs, method="features", **columns)[0]

    dtype = recipe.program.dtype
    example = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), dtype), data.train.inputs)
    size = jax.eval_shape(features_of, example).shape[1]
    if max(dimensions, default=0) > size or min(dimensions, default=0) < 1:
        raise ValueError(f"A dimension must lie in [1, {size}], the features of the net, got {tuple(dimensions)}.")


def _table(recipe: Recipe, size: Int[Array, " s"], seeds: int) -> Runs:
    """Every size for every seed, sizes varying fastest."""
    w = seeds * len(size)
    columns = {
        "size": np.tile(size, seeds),
        "seed": np.repeat(np.arange(seeds), len(size)),
        "learning_rate": np.full(w, recipe.learning_rate),
    }
    return Runs((recipe.program,), np.zeros(w, np.int32), columns)


@record
class _Fits:
    """One row a fit: the predicted errors, the size for the target, and the theory's radius or the exponent."""

    error: Float[Array, "b t"]
    size: Float[Array, " b"] | None
    radius: Float[Array, " b"] | None = None
    converged: Bool[Array, " b"] | None = None
    exponent: Float[Array, " b"] | None = None


@jit(static_argnames="law")
def _theory(
    error: Float[Array, "b s"],
    points: LearningCurve,
    train: Gaussian,
    test: Gaussian,
    seed: Int[Array, " b"],
    grid: Float[Array, " t"],
    target_error: Float[Array, ""] | None,
    *,
    law: Callable[..., Any],
) -> _Fits:
    """Fit the radius to each row of errors, with the Gaussians of that row's seed."""

    def one(error: Array, seed: Array) -> _Fits:
        train_density, test_density = jax.tree.map(lambda leaf: jnp.asarray(leaf)[seed], (train, test))
        fit = fit_radius(dataclasses.replace(points, error=error), train_density, test_density, law)
        size = None if target_error is None else size_for_error(fit, target_error)
        return _Fits(fit.predict(grid), size, fit.radius, fit.converged)

    return jax.vmap(one)(error, seed)


def _power_law(
    error: Float[Array, "b s"], points: LearningCurve, grid: Float[Array, " t"], target_error: Float[Array, ""] | None
) -> _Fits:
    measured, spread = np.asarray(points.error), np.asarray(points.standard_error)
    # No mistake at all counts as half a one, give or take as much; nothing is known to better than 1 %.
    relative = np.where(measured > 0, np.maximum(spread / np.where(measured > 0, measured, 1), 0.01), 1.0)
    weight = jnp.asarray(1 / relative**2)
    fit = fit_curve(dataclasses.replace(points, error=error, standard_error=None), power_law, weight=weight)
    size = None if target_error is None else fit.size_for_error(target_error)
    return _Fits(fit.predict(grid), size, exponent=fit.parameters["exponent"])


def _summary(
    grid: Float[Array, " t"], error: Float[Array, "b t"], central: int
) -> tuple[LearningCurve, Float[Array, "2 t"]]:
    """Mean of the first `central` rows, and the spread and 90 % interval of the others."""
    error = np.asarray(error)
    drawn = error[central:]
    interval = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return LearningCurve(grid, np.mean(error[:central], axis=0), np.nanstd(drawn, axis=0)), interval


def _size_for_target(size: Float[Array, " b"], central: int) -> SizeForTarget:
    """Geometric mean of the first `central` rows and quantiles of the others; what nobody can collect is never."""
    size = np.asarray(size, float)
    size = np.where(size < LARGEST_SIZE, size, np.inf)
    low, high = np.nanquantile(size[central:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="closest_observation")
    return SizeForTarget(np.exp(np.mean(np.log(size[:central]))), low, high)


def _gaussians(
    trained: SweepResult, rows: Sequence[int], data: Data, inputs: Any, dimension: int
) -> tuple[Gaussian, Gaussian]:
    """Gaussians of each seed's features on the first principal components of its training features."""
    pairs = []
    for row in rows:
        own, other = features(trained, int(row), data, shard=True), features(trained, int(row), data, inputs)
        if not (np.isfinite(own).all() and np.isfinite(other).all()):
            raise ValueError(f"The features of the net of seed {trained.runs.columns['seed'][row]} hold nan or inf.")
        components = fit_pca(own, dimension)
        pair = tuple(fit_gaussian(components.project(part)) for part in (own, other))
        for part, gaussian in zip(("training", "held-out"), pair, strict=True):
            if not bool(is_full_rank(gaussian)):
                raise ValueError(
                    f"The covariance of the {part} features on {dimension} principal components is singular: they "
                    f"span fewer than {dimension} directions. Choose a smaller dimension."
                )
        pairs.append(pair)
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *pairs)
