"""Fits of all methods to the sizes below one half and to all sizes, their back-tests, and the resulting answer."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from lcjax.curves.floors.error_floor import ErrorFloor
from lcjax.curves.learning_curve import LearningCurve
from lcjax.studies.prediction.answer import answer as answers
from lcjax.studies.prediction.answer.answer import Answer, size_from_draws
from lcjax.studies.prediction.answer.draws import AveragedDraws, Mixture, mix, widen
from lcjax.studies.prediction.answer.shift import Shift
from lcjax.studies.prediction.answer.spread import TrainingSpread
from lcjax.studies.prediction.held_out_features import HeldOutFeatures, compare_fits
from lcjax.studies.prediction.methods.distances import Distances, tabulate_distances
from lcjax.studies.prediction.methods.fits import Ingredients, fit_methods
from lcjax.studies.prediction.methods.laws import tabulate_law
from lcjax.studies.prediction.methods.points import Fit, Points, Used
from lcjax.studies.prediction.methods.tabulated import Table, fit_table
from lcjax.studies.prediction.record import Method
from lcjax.studies.prediction.scoring.discrepancy import (
    EXACT,
    Discrepancy,
    Predictive,
    back_test_cuts,
    estimate_discrepancy,
    residual_noise,
)
from lcjax.studies.prediction.scoring.held_out import LEVEL, HeldOut, score_methods
from lcjax.studies.prediction.scoring.weights import method_weights, prior_weights
from lcjax.theory.gaussian import Gaussian
from lcjax.typing import KeyArray

__all__ = ["Fitted", "Study", "compare_features", "fit_study", "refit", "to_answer", "to_methods"]

WEIGHING, TESTING = 2, 3  # largest numbers of sizes left out in the back-tests for weights and for discrepancies


class Fitted(NamedTuple):
    """All methods fitted to one selection of sizes.

    Attributes:
        used: True at the fitted sizes.
        fits: fits by method.
        discrepancies: discrepancy of each method, from back-tests inside the fitted sizes.
    """

    used: Used
    fits: dict[str, Fit]
    discrepancies: dict[str, Discrepancy]


class Study(NamedTuple):
    """Fits and scores.

    Attributes:
        grid: sizes at which fits are evaluated, up to far beyond the data.
        columns: indices of the measured sizes in the grid.
        early: methods fitted to the sizes below one half.
        refitted: methods fitted to all sizes.
        weights: weights of the methods, from back-tests below one half.
        held_out: scores of the early fits and of their mixture.
        mixture: draws of the mixture of the refitted methods.
        tables: tabulated curves of the theory by method.
    """

    grid: Float[np.ndarray, " t"]
    columns: np.ndarray
    early: Fitted
    refitted: Fitted
    weights: dict[str, float]
    held_out: dict[str, HeldOut]
    mixture: Mixture
    tables: dict[str, Table]

    @property
    def both(self) -> tuple[Fitted, Fitted]:
        """The early fits and the refits."""
        return self.early, self.refitted


def fit_study(
    key: KeyArray, points: Points, fitted: Used, grid: Float[np.ndarray, " t"], ingredients: Ingredients
) -> Study:
    """Fit every method below one half, fix its weight there, score it at the larger sizes, and refit it to all sizes.

    Args:
        key: a typed key of the forecasts.
        points: measured errors.
        fitted: True below one half.
        grid: sizes to predict.
        ingredients: densities, distances and priors of the methods.
    """
    every = np.ones_like(fitted)
    early_cuts, cuts = back_test_cuts(fitted, points.size, WEIGHING), back_test_cuts(every, points.size, TESTING)
    uses = [fitted, every, *early_cuts, *cuts]
    fits, tables = fit_methods(key, points, uses, grid, ingredients, forecasts=2 + len(early_cuts))
    early_tests, tests = fits[2 : 2 + len(early_cuts)], fits[2 + len(early_cuts) :]
    columns = np.searchsorted(grid, points.size)
    early = _with_discrepancies(fitted, fits[0], early_tests, early_cuts, points, columns)
    refitted = _with_discrepancies(every, fits[1], tests, cuts, points, columns)
    weights = method_weights(early_tests, early_cuts, fitted, points, columns) or prior_weights(list(fits[0]))
    held_out = _score(early, points, columns, weights)
    mixture = mix(refitted.fits, weights, refitted.discrepancies, points, grid)
    return Study(grid, columns, early, refitted, weights, held_out, mixture, tables)


def refit(key: KeyArray, study: Study, points: Points, ingredients: Ingredients) -> Study:
    """Refit every method to all sizes of other points, such as those of both splits, keeping weights and scores.

    Args:
        key: a typed key of the forecasts.
        study: the study that provides weights, scores and tables.
        points: measured errors at the same sizes.
        ingredients: ingredients of the study.
    """
    every = np.ones(len(points.size), bool)
    cuts = back_test_cuts(every, points.size, TESTING)
    fits, _ = fit_methods(key, points, [every, *cuts], study.grid, ingredients, forecasts=1, tables=study.tables)
    refitted = _with_discrepancies(every, fits[0], fits[1:], cuts, points, study.columns)
    mixture = mix(refitted.fits, study.weights, refitted.discrepancies, points, study.grid)
    return study._replace(refitted=refitted, mixture=mixture)


def _with_discrepancies(
    used: Used,
    fits: dict[str, Fit],
    tests: Sequence[dict[str, Fit]],
    cuts: list[Used],
    points: Points,
    columns: np.ndarray,
) -> Fitted:
    discrepancies = {
        name: EXACT
        if name == "forecast"
        else estimate_discrepancy([test[name] for test in tests], cuts, used, points, columns)
        for name in fits
    }
    return Fitted(used, fits, discrepancies)


def _score(early: Fitted, points: Points, columns: np.ndarray, weights: Mapping[str, float]) -> dict[str, HeldOut]:
    """Score the early fits and their mixture at the larger sizes."""
    left = ~early.used
    log_ratio = np.log(points.size[left] / points.size[early.used].max())
    noise, measured = residual_noise(points, early.used)[left], points.log_error[left]
    predictives = {
        name: Predictive.of(fit.draws[:, columns[left]], log_ratio, early.discrepancies[name], noise)
        for name, fit in early.fits.items()
    }
    centers = {name: fit.center[columns[left]] for name, fit in early.fits.items()}
    return score_methods(centers, predictives, dict(weights), measured, points.joint[:, left])


def to_methods(
    fitted: Fitted, points: Points, grid: Float[np.ndarray, " t"], shown: int, target_error: float | None
) -> dict[str, Method]:
    """Return the records of all methods at the first `shown` sizes of the grid."""
    log_ratio = np.log(grid / points.size[fitted.used].max())
    methods = {}
    for name, fit in fitted.fits.items():
        discrepancy = fitted.discrepancies[name]
        draws = widen(fit.draws, log_ratio, discrepancy)
        interval = np.exp(np.quantile(draws[:, :shown], [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], axis=0))
        center = None if name == "forecast" else fit.center
        size = points.size[fitted.used]
        methods[name] = Method(
            curve=LearningCurve(grid[:shown], np.exp(fit.center[:shown]), np.exp(fit.draws[:, :shown]).std(axis=0)),
            interval=interval,
            size_for_error=None if target_error is None else size_from_draws(center, draws, grid, target_error, size),
            parameters={k: v for k, v in fit.parameters.items() if k != "exponent_draws"},
            converged=np.asarray(fit.converged),
            discrepancy=np.asarray(discrepancy.scale),
        )
    return methods


def compare_features(
    study: Study,
    points: Points,
    ingredients: Ingredients,
    densities: tuple[Gaussian, Gaussian],
    distances: list[Distances],
    shown: int,
) -> dict[str, HeldOutFeatures]:
    """Refit "distances" and the first law below one half with features that are new to the network.

    Args:
        study: fits with the features of the network's shard.
        points: measured errors.
        ingredients: ingredients of the study, for its laws.
        densities: densities of features that are new to the network.
        distances: distances between features that are new to the network.
        shown: number of sizes to report.
    """
    tables = {"distances": tabulate_distances(distances, study.grid)}
    for law in ingredients.laws[:1]:
        tables[law.__name__] = tabulate_law(*densities, study.grid, law)
    return {
        name: compare_fits(
            study.early.fits[name], fit_table(table, study.columns, points, study.early.used), study.grid[:shown]
        )
        for name, table in tables.items()
    }


def to_answer(
    study: Study,
    points: Points,
    shown: int,
    *,
    split: str,
    target_error: float | None,
    chance_error: float,
    spread: TrainingSpread,
    examples: int,
    noise_floor: ErrorFloor | None,
    shift: Shift | None = None,
    is_pooled: bool = False,
) -> Answer:
    """Return the answer from the refitted methods, with the evidence for it in one line.

    Args:
        study: the study.
        points: the points to which the methods were refitted.
        shown: number of sizes in the curve.
        split: "validation" or "test".
        target_error: error to reach, or None.
        chance_error: upper limit of errors.
        spread: spread of single trainings about the mean error.
        examples: number of examples on which the errors of `points` are measured.
        noise_floor: error floor due to label noise, or None.
        shift: the measured shift between the splits, or None.
        is_pooled: True if both splits are random parts of one set, so that `points` are pooled without a shift.
    """
    measured = LearningCurve(points.size, np.exp(points.log_error), np.exp(points.log_error) * points.relative)
    draws = AveragedDraws(measured, study.grid, study.mixture, spread, bound=chance_error, examples=examples)
    answer = answers.to_answer(
        draws, shown, study.weights, points, target_error=target_error, noise_floor=noise_floor, split=split,
        reason=_reason(study, points, split, shift, is_pooled), shift=shift,
    )  # fmt: skip
    return answer if np.any(points.replicates > 0) else answer.without_mistakes(examples)


def _reason(study: Study, points: Points, split: str, shift: Shift | None, is_pooled: bool) -> str:
    heaviest = max(study.weights, key=lambda name: study.weights[name])
    check = study.held_out["answer"]
    inside, total = int(np.sum(check.inside)), len(check.inside)
    factor = float(np.exp(np.sqrt(np.mean(np.square(check.log_error)))))
    source = "validation and test" if shift is not None else split
    sentences = [
        f"Average of {len(study.weights)} methods (weight of {heaviest.replace('_', ' ')} "
        f"{study.weights[heaviest]:.0%}), fitted to the {source} errors at {len(points.size)} sizes.",
        f"Fitted below half of the data, it is typically off by a factor of {factor:.2f} at the larger sizes, and its "
        f"90 % intervals contain {inside} of {total} measured errors.",
    ]
    if shift is not None:
        difference, error = np.expm1(float(shift.value)), float(shift.standard_error)
        within = abs(float(shift.value)) <= error
        uncertainty = f", within the standard error of {error:.0%}" if within else f" (standard error {error:.0%})"
        pooled = "; both are pooled, because the splits are random parts of one set" if is_pooled else ""
        sentences.append(f"Test errors differ from validation errors by {difference:+.0%}{uncertainty}{pooled}.")
    return " ".join(sentences)
