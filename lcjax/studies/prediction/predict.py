"""Prediction of a learning curve from small runs: features, dimension, radius, and the error at every size.

The prediction uses training and validation data only. It is written before any test label is read; then the test error
of every network is measured and the prediction is scored on the sizes that it was not fitted to.
"""

import dataclasses
import functools
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Bool

from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.standard_errors import bootstrap_error, curve_from_mistakes, draw_indices
from lcjax.data.examples import Data, Examples, fingerprint
from lcjax.data.subsets import shard_sizes
from lcjax.papers.bisla import FRACTIONS, PaperRow
from lcjax.studies.prediction.bottlenecks import WIDTHS, compile_dimension, feature_count, measure_dimension
from lcjax.studies.prediction.caveats import caveats
from lcjax.studies.prediction.densities import fit_densities
from lcjax.studies.prediction.methods import Draws, Law, compile_power_law, fit_methods
from lcjax.studies.prediction.record import Prediction
from lcjax.studies.prediction.table_three import side_by_side
from lcjax.studies.recipes import Recipe
from lcjax.studies.report import identify_data, write_report
from lcjax.studies.storage import restore_or_compute
from lcjax.studies.sweeps import ignore_progress, refuse_failures, run_stage, runs_folder
from lcjax.theory.laws import hypercube, poisson
from lcjax.threads import ThreadPool
from lcjax.training import Runs, evaluate
from lcjax.training.evaluation import compile_evaluation
from lcjax.typing import KeyArray, OnProgress, PathLike, Progress

__all__ = ["FRACTIONS", "predict_learning_curve"]

FIT_BELOW = 0.5  # larger fractions of the training set are held out; the features come from shards of this fraction


def predict_learning_curve(
    key: KeyArray,
    data: Data,
    recipe: Recipe,
    *,
    fractions: Sequence[float] = FRACTIONS,
    seeds: int = 5,
    dimension: int | None = None,
    widths: Sequence[int] = WIDTHS,
    margin: float | None = None,
    laws: Sequence[Law] = (hypercube, poisson),
    target_error: float | None = None,
    beyond: float = 10.0,
    paper_protocol: bool = False,
    draws: int = 200,
    row: PaperRow | None = None,
    folder: PathLike | None = None,
    on_progress: OnProgress | None = None,
) -> Prediction:
    """Predict the learning curve of a network on a task, and score the prediction on held-out sizes.

    Bisla et al. (2021), section 4.2: train on balanced nested shards; take features from the networks trained on half
    of the data; find the effective dimension; fit Gaussians to the features projected on it; fit the radius of the
    error model to the shards below half of the data; predict the rest. For comparison a power law without theory is
    fitted to the same points. Intervals come from a two-way bootstrap over seeds and examples, each draw with the
    Gaussians of one seed: they cover the variation of a repeated measurement, not errors of the model.

    Args:
        key: typed key of every random stream.
        data: the task, with training, validation and test split.
        recipe: the network and its training.
        fractions: fractions of the training set, each in (0, 1], at least two of them below one half. One half is
            added.
        seeds: runs per shard.
        dimension: effective dimension; measured with bottlenecks if `None`.
        widths: bottleneck widths to try.
        margin: largest loss of accuracy for a bottleneck to count as not inferior; the recipe's if `None`.
        laws: laws of the nearest-neighbour distance.
        target_error: error in (0, 1) for which to predict the size, or `None`.
        beyond: largest predicted size, as a multiple of the training set.
        paper_protocol: True to fit to test errors and test features, as the paper does; the prediction has then seen
            the test labels of the fitted sizes.
        draws: bootstrap draws.
        row: row of the paper's Table 3 to write to `result.json` beside ours.
        folder: folder of finished runs, `prediction.json` and `result.json`; nothing is written if `None`.
        on_progress: progress callback.

    Returns:
        `Prediction`; `methods` has a curve for each law, by its name, and for "power_law", at sizes from the smallest
        shard to `beyond` times the training set, each with its interval of 90 %.

    Raises:
        ValueError: an argument is outside its range, a run diverged, features are not finite, or the covariance of the
            features is singular at the requested dimension.

    Examples:
        >>> import jax, lcjax as lc
        >>> data = lc.load_data("digits")
        >>> recipe = lc.studies.mlp_recipe(data).with_budget(steps=50)
        >>> options = {"seeds": 1, "dimension": 2, "draws": 8, "laws": (lc.laws.hypercube,)}
        >>> prediction = lc.predict_learning_curve(jax.random.key(0), data, recipe, **options)
        >>> sorted(prediction.methods)
        ['hypercube', 'power_law']
    """
    started = time.monotonic()
    margin = recipe.margin if margin is None else margin
    test_split = _check(data, fractions, seeds, target_error, beyond, margin, draws)
    _check_dimension(recipe, data, [dimension] if dimension is not None else widths)
    report = on_progress or ignore_progress
    withheld, n = data.without_test(), len(data.train.targets)
    fractions = sorted({*fractions, FIT_BELOW})
    size = shard_sizes(n, fractions, classes=data.classes)
    fitted = np.asarray(fractions) < FIT_BELOW
    grid = np.unique(np.concatenate([size, np.round(np.geomspace(size[0], beyond * n, 60))])).astype(float)
    key_train, key_bootstrap, key_density = (jax.random.fold_in(key, stream) for stream in range(3))

    # Train on every shard and measure the validation error.
    runs = Runs.grid(recipe.program, seed=range(seeds), size=size, learning_rate=recipe.learning_rate)
    label = f"train {len(runs.program)} networks"
    halves = runs.rows(np.flatnonzero(np.asarray(runs.columns["size"]) == size[fractions.index(FIT_BELOW)]))
    stored = runs_folder(folder, "shards", key_train, runs, withheld)
    with ThreadPool(1) as ahead:  # compiles the later stages meanwhile
        if dimension is None:
            ahead.submit(compile_dimension, key_train, withheld, recipe, halves, widths=widths, folder=folder)
        if stored is None or not stored.exists():
            ahead.submit(compile_evaluation, runs, 0, data, test_split, methods=["features"])
        ahead.submit(compile_power_law, int(fitted.sum()), draws, grid, target_error)
        trained = run_stage(
            key_train, withheld, runs, name="shards", label=label, folder=folder, keep=True, on_progress=on_progress
        )
    refuse_failures(trained)

    def score_test_split() -> Bool[np.ndarray, "r s m"]:
        compute = functools.partial(evaluate, trained, data, test_split)
        identity = fingerprint(test_split) if stored else ""
        return runs.unstack(restore_or_compute(stored, "test", identity, lambda: {"wrong": compute()})["wrong"])

    train_error = runs.unstack(trained.train_error[:, -1]).mean(axis=0)
    basis_wrong, held_out = runs.unstack(trained.validation_wrong), data.validation
    validation = basis = curve_from_mistakes(size, basis_wrong, train_error=train_error)
    if paper_protocol:
        basis_wrong, held_out = score_test_split(), test_split
        basis = curve_from_mistakes(size, basis_wrong)

    # Find the dimension and the densities of the features learned from half of the data.
    half = runs.unstack(np.arange(len(runs.program)))[:, fractions.index(FIT_BELOW)].tolist()
    bottleneck = None
    if dimension is None:
        bottleneck = measure_dimension(
            key_train, withheld, recipe, trained, half,
            widths=widths, margin=margin, folder=folder, on_progress=on_progress,
        )  # fmt: skip
        dimension = int(bottleneck.estimate.value)
    densities = fit_densities(
        trained, half, withheld, held_out.inputs, dimension, folder=stored, on_progress=on_progress
    )

    # Fit every method to the sizes below one half, and to bootstrap draws of them.
    report(Progress("fit and bootstrap", 0, 1))
    points = LearningCurve(
        size[fitted].astype(float),
        np.asarray(basis.error)[fitted],
        np.asarray(basis.standard_error)[fitted],
        test_count=np.asarray(basis_wrong.shape[-1]),
    )
    bootstrap = Draws(
        points,
        bootstrap_error(key_bootstrap, basis_wrong[:, fitted], draws=draws),
        np.asarray(draw_indices(key_density, draws, seeds)),
    )
    methods = fit_methods(bootstrap, *densities, grid, target_error, laws)
    report(Progress("fit and bootstrap", 1, 1))

    # Write the prediction before any test label is read (except under the paper's protocol).
    prediction = Prediction(
        None, validation, fitted, np.asarray(dimension), bottleneck, *densities, methods, {}, paper_protocol
    )
    splits = {"train": n, "validation": len(data.validation.targets), "test": len(test_split.targets)}
    key_data = np.asarray(jax.random.key_data(key))
    shards = dict[str, object](splits=splits, recipe=recipe, fractions=fractions, seeds=seeds, key=key_data)
    fits = dict[str, object](widths=widths, margin=margin, laws=laws, target_error=target_error, beyond=beyond)
    configuration = {**identify_data(data), **shards, **fits, "draws": draws, "paper_protocol": paper_protocol}
    settings = {"configuration": configuration}
    if folder is not None:
        write_report(Path(folder, "prediction.json"), settings, {"prediction": prediction})

    # Measure the test error and score the prediction on the held-out sizes.
    test_wrong = basis_wrong if paper_protocol else score_test_split()
    measured = curve_from_mistakes(size, test_wrong, train_error=train_error)
    at = np.searchsorted(grid, size[~fitted])
    with np.errstate(divide="ignore"):
        log_error = {
            name: np.log(np.asarray(method.curve.error)[at] / np.asarray(measured.error)[~fitted])
            for name, method in methods.items()
        }
    prediction = dataclasses.replace(prediction, measured=measured, held_out_log_error=log_error)
    if folder is not None:
        results = {
            "seconds": time.monotonic() - started,  # fewer if finished runs were restored from the folder
            "caveats": caveats(prediction, chance_error=data.chance_error(), target_error=target_error),
            **({} if row is None else {"table_3": side_by_side(row, prediction)}),
            "prediction": prediction,
        }
        write_report(Path(folder, "result.json"), settings, results)
    return prediction


def _check(
    data: Data, fractions: Sequence[float], seeds: int, target: float | None, beyond: float, margin: float, draws: int
) -> Examples:
    """Return the test split if every argument is in its range."""
    if data.test is None:
        raise ValueError(f"The data {data.name!r} have no test split, which is needed to score the prediction.")
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}.")
    outside = [fraction for fraction in fractions if not 0 < fraction <= 1]
    if outside:
        raise ValueError(f"fractions must lie in (0, 1], got {outside}.")
    if sum(fraction < FIT_BELOW for fraction in fractions) < 2:
        raise ValueError(f"At least two fractions below {FIT_BELOW} are needed to fit, got {tuple(fractions)}.")
    if target is not None and not 0 < target < 1:
        raise ValueError(f"target_error must lie in (0, 1), got {target}.")
    if not beyond >= 1:
        raise ValueError(f"beyond must be at least 1, got {beyond}.")
    if not 0 <= margin <= 1:
        raise ValueError(f"margin must lie in [0, 1], got {margin}.")
    if draws < 2:
        raise ValueError(f"An interval needs at least 2 draws, got {draws}.")
    return data.test


def _check_dimension(recipe: Recipe, data: Data, dimensions: Sequence[int]) -> None:
    """Refuse more dimensions than the network has features, before anything is trained."""
    features = feature_count(recipe.program, data)
    if max(dimensions, default=0) > features or min(dimensions, default=0) < 1:
        raise ValueError(
            f"A dimension must lie in [1, {features}], the number of features of the network, got {tuple(dimensions)}."
        )
