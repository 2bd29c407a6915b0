"""Prediction of a learning curve from small runs: features, dimension, methods, and one answer from all of them.

The prediction uses training and validation data only: methods are fitted below half of the data, scored at the larger
sizes, and refitted to all sizes. It is written before any test label is read. Then the test error of every network is
measured, and the answer is shifted to data like the test set.
"""

import dataclasses
import functools
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool

from lcjax.curves.answer.crossing import HORIZON
from lcjax.curves.fit.exponent_prior import ExponentPrior
from lcjax.curves.standard_errors import curve_from_mistakes
from lcjax.data.balance import check_variation, require_classes
from lcjax.data.examples import Data, Examples, fingerprint
from lcjax.data.subsets import shard_sizes
from lcjax.papers.bisla import FRACTIONS, PaperRow
from lcjax.studies.error_floors import label_noise_floor
from lcjax.studies.prediction.answer.new_groups import shift_to_new_groups
from lcjax.studies.prediction.answer.shift import measure_shift
from lcjax.studies.prediction.answer.spread import estimate_spread
from lcjax.studies.prediction.bottlenecks import WIDTHS, compile_dimension, feature_count, measure_dimension
from lcjax.studies.prediction.caveats import caveats
from lcjax.studies.prediction.densities import fit_densities
from lcjax.studies.prediction.exponents import compare_exponents
from lcjax.studies.prediction.held_out_features import extract_features, held_out_densities, neighbor_distances
from lcjax.studies.prediction.methods.bayesian import compile_forecast
from lcjax.studies.prediction.methods.fits import Ingredients
from lcjax.studies.prediction.methods.laws import Law
from lcjax.studies.prediction.methods.points import combine_splits, resample_points
from lcjax.studies.prediction.record import Prediction
from lcjax.studies.prediction.study import compare_features, fit_study, refit, to_answer, to_methods
from lcjax.studies.prediction.table_three import side_by_side
from lcjax.studies.recipes import Recipe
from lcjax.studies.report import identify_data, write_report
from lcjax.studies.storage import restore_or_compute
from lcjax.studies.sweeps import ignore_progress, refuse_failures, run_stage, runs_folder
from lcjax.theory.laws import hypercube, poisson
from lcjax.threads import ThreadPool
from lcjax.training import Runs, evaluate
from lcjax.training.evaluation import compile_evaluation
from lcjax.typing import KeyArray, OnProgress, PathLike, Progress, check_key

__all__ = ["FRACTIONS", "predict_learning_curve"]

# Standard deviation of the logarithm of the exponent about -1/d in "nearest_neighbor": a factor of 2.
EXPONENT_DEVIATION = 0.7
PARTS = 6  # of the last stage, for its progress
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
    of the data; find the effective dimension d; fit Gaussians to the features projected onto d principal components;
    fit the radius of the error model to the errors below half of the data; predict the rest. A Bayesian forecast and
    power laws are fitted to the same points. All methods are scored at the larger sizes, refitted to all sizes, and
    averaged in `answer`, whose intervals include the sampling of seeds and examples and the discrepancy of each method
    (docs/predict.md).

    Args:
        key: typed key of every random stream.
        data: the task, with training, validation and test split.
        recipe: the network and its training.
        fractions: fractions of the training set, each in (0, 1], at least two of them below one half. One half is
            added if it is missing.
        seeds: runs per shard.
        dimension: effective dimension; measured with bottlenecks if `None`.
        widths: bottleneck widths to try.
        margin: largest loss of accuracy for a bottleneck to count as not inferior; the recipe's if `None`.
        laws: laws of the nearest-neighbor distance.
        target_error: error in (0, 1) for which to predict the size, or `None`.
        beyond: largest predicted size, as a multiple of the training set.
        paper_protocol: True to fit to test errors and test features, as the paper does; the prediction has then seen
            the test labels of the fitted sizes.
        draws: bootstrap draws.
        row: row of the paper's Table 3 to compare with ours in `result.json`.
        folder: folder for finished runs, `prediction.json` and `result.json`; nothing is written if `None`.
        on_progress: progress callback.

    Returns:
        `Prediction`; `answer` has the curve, from the smallest shard to `beyond` times the training set, and the size
        for the target. `methods` and `refitted` have the same by method.

    Raises:
        ValueError: an argument is outside its range, a run diverged, features are not finite, or the covariance of the
            features is singular at the requested dimension.

    Examples:
        >>> import jax, lcjax as lc
        >>> data = lc.load_data("digits")
        >>> recipe = lc.studies.mlp_recipe(data).with_budget(steps=50)
        >>> options = {"seeds": 1, "dimension": 2, "draws": 8, "laws": (lc.laws.hypercube,)}
        >>> prediction = lc.predict_learning_curve(jax.random.key(0), data, recipe, **options)
        >>> prediction.answer.split, sorted(prediction.methods)[:3]
        ('test', ['distances', 'forecast', 'hypercube'])
    """
    check_key(key)
    started = time.monotonic()
    margin = recipe.margin if margin is None else margin
    test_split = _check(data, fractions, seeds, target_error, beyond, margin, draws)
    _check_dimension(recipe, data, [dimension] if dimension is not None else widths)
    report = on_progress or ignore_progress
    withheld, n = data.without_test(), len(data.train.targets)
    fractions = sorted({*fractions, FIT_BELOW})
    size = shard_sizes(n, fractions, classes=data.classes)
    fitted = np.asarray(fractions) < FIT_BELOW
    key_train, key_bootstrap, key_forecast = (jax.random.fold_in(key, stream) for stream in range(3))

    # Train on every shard and measure the validation error, while the forecast is compiled.
    grid = np.unique(np.concatenate([size, np.round(np.geomspace(size[0], beyond * n, 60))])).astype(float)
    reach = np.geomspace(grid[-1], max(HORIZON * n, 2 * grid[-1]), 31)[1:]
    runs = Runs.grid(recipe.program, seed=range(seeds), size=size, learning_rate=recipe.learning_rate)
    label = f"train {len(runs.program)} networks"
    halves = runs.rows(np.flatnonzero(np.asarray(runs.columns["size"]) == size[fractions.index(FIT_BELOW)]))
    stored = runs_folder(folder, "shards", key_train, runs, withheld)
    with ThreadPool(1) as ahead:  # compiles the later stages during training
        if dimension is None:
            ahead.submit(compile_dimension, key_train, withheld, recipe, halves, widths=widths, folder=folder)
        if stored is None or not stored.exists():
            ahead.submit(compile_evaluation, runs, 0, data, test_split, methods=["features"])
        ahead.submit(compile_forecast, key_forecast, len(size), len(grid) + len(reach))
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

    # Measure the dimension and extract the features of the networks trained on half of the data.
    half = runs.unstack(np.arange(len(runs.program)))[:, fractions.index(FIT_BELOW)].tolist()
    bottleneck, width, probability = None, np.array([dimension or 1]), np.ones(1)
    if dimension is None:
        bottleneck = measure_dimension(
            key_train, withheld, recipe, trained, half,
            widths=widths, margin=margin, folder=folder, on_progress=on_progress,
        )  # fmt: skip
        dimension = int(bottleneck.estimate.value)
        width, probability = np.asarray(widths), np.asarray(bottleneck.weights.weight, float)
    densities = fit_densities(
        trained, half, withheld, held_out.inputs, dimension,
        is_given=bottleneck is None, folder=stored, on_progress=on_progress,
    )  # fmt: skip
    dimension = densities[0].mean.shape[-1]
    sets = extract_features(trained, half, withheld, held_out.inputs)

    # Fit every method to the sizes below one half and to all sizes, with back-tests inside both selections.
    fitted_parts = itertools.count()

    def report_part() -> None:
        report(Progress("fit and bootstrap", next(fitted_parts), PARTS))

    report_part()
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key_bootstrap)))
    repeats = rng.integers(seeds, size=(draws, seeds))
    points = resample_points(size, basis_wrong, np.asarray(basis.standard_error), rng, repeats=repeats)
    distances = neighbor_distances(sets, float(size[0]), rng)
    report_part()
    inverse_dimension = float(np.sum(probability / width))
    prior = ExponentPrior(-inverse_dimension, EXPONENT_DEVIATION)
    chance_error = data.chance_error() or 1.0  # a validation set of one class bounds no error
    ingredients = Ingredients(*densities, distances, laws, prior, chance_error)
    study = fit_study(key_forecast, points, fitted, np.concatenate([grid, reach]), ingredients)
    report_part()
    methods, refitted = (to_methods(fits, points, study.grid, len(grid), target_error) for fits in study.both)
    outside = (held_out_densities(sets, dimension), neighbor_distances(sets, float(size[0]), rng, outside=True))
    comparison = compare_features(study, points, ingredients, *outside, len(grid))
    report_part()
    power_law = study.refitted.fits["power_law"].parameters
    exponents = compare_exponents(power_law["exponent"], power_law["exponent_draws"], width, probability, rng)
    options: dict[str, Any] = {"target_error": target_error, "chance_error": chance_error}
    options["noise_floor"] = label_noise_floor(withheld, rng)
    options |= {"spread": estimate_spread(size, basis_wrong, n, rng), "examples": basis_wrong.shape[-1]}
    split = "test" if paper_protocol else "validation"
    answer = to_answer(study, points, len(grid), split=split, **options)
    report_part()

    # Write the prediction before any test label is read (except under the paper's protocol).
    prediction = Prediction(
        answer, None, validation, fitted, np.asarray(dimension), bottleneck, *densities, methods, refitted,
        study.held_out, exponents, comparison, shift_to_new_groups(trained, withheld, half), paper_protocol,
    )  # fmt: skip
    splits = {"train": n, "validation": len(data.validation.targets), "test": len(test_split.targets)}
    key_data = np.asarray(jax.random.key_data(key))
    shards = dict[str, object](splits=splits, recipe=recipe, fractions=fractions, seeds=seeds, key=key_data)
    fits = dict[str, object](widths=widths, margin=margin, laws=laws, target_error=target_error, beyond=beyond)
    configuration = {**identify_data(data), **shards, **fits, "draws": draws, "paper_protocol": paper_protocol}
    settings = {"configuration": configuration}
    if folder is not None:
        write_report(Path(folder, "prediction.json"), settings, _results(prediction))

    # Measure the test error, and shift the answer to the distribution of the test examples.
    test_wrong = basis_wrong if paper_protocol else score_test_split()
    measured = curve_from_mistakes(size, test_wrong, train_error=train_error)
    if not paper_protocol:
        test_points = resample_points(size, test_wrong, np.asarray(measured.standard_error), rng, repeats=repeats)
        shift, shift_draws = measure_shift(
            points.size, points.log_error, test_points.log_error, points.joint, test_points.joint
        )
        both = np.concatenate([basis_wrong, test_wrong], axis=-1)
        options |= {"spread": estimate_spread(size, both, n, rng), "examples": both.shape[-1]}
        counts = basis_wrong.shape[-1], test_wrong.shape[-1]
        moved = (0.0, 0 * shift_draws) if data.split_at_random else (float(shift.value), shift_draws)
        points = combine_splits(points, test_points, counts, *moved)
        report_part()
        study = refit(key_forecast, study, points, ingredients)
        refitted = to_methods(study.refitted, points, study.grid, len(grid), target_error)
        options |= {"split": "test", "shift": shift, "is_pooled": data.split_at_random}
        answer = to_answer(study, points, len(grid), **options)
    prediction = dataclasses.replace(prediction, answer=answer, measured=measured, refitted=refitted)
    report(Progress("fit and bootstrap", PARTS, PARTS))
    if folder is not None:
        results = {
            "seconds": time.monotonic() - started,  # fewer if finished runs were restored from the folder
            "caveats": caveats(prediction, chance_error=chance_error, target_error=target_error),
            **({} if row is None else {"table_3": side_by_side(row, prediction)}),
            **_results(prediction),
        }
        write_report(Path(folder, "result.json"), settings, results)
    return prediction


def _results(prediction: Prediction) -> dict[str, object]:
    """Return the results for JSON, starting with the answers for the target."""
    answer = prediction.answer
    target = {} if answer.target is None else answer.target.fields()
    return {**target, "answer": answer, "prediction": prediction}


def _check(
    data: Data, fractions: Sequence[float], seeds: int, target: float | None, beyond: float, margin: float, draws: int
) -> Examples:
    """Check the range of every argument, and return the test split."""
    check_variation(data)
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
    if target is not None:
        require_classes(data, "validation")
    if not beyond >= 1:
        raise ValueError(f"beyond must be at least 1, got {beyond}.")
    if not 0 <= margin <= 1:
        raise ValueError(f"margin must lie in [0, 1], got {margin}.")
    if draws < 2:
        raise ValueError(f"An interval needs at least 2 draws, got {draws}.")
    return data.test


def _check_dimension(recipe: Recipe, data: Data, dimensions: Sequence[int]) -> None:
    """Raise ValueError if a dimension exceeds the number of features of the network, before anything is trained."""
    features = feature_count(recipe.program, data)
    if max(dimensions, default=0) > features or min(dimensions, default=0) < 1:
        raise ValueError(
            f"A dimension must lie in [1, {features}], the number of features of the network, got {tuple(dimensions)}."
        )
