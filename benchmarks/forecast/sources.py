"""Curves to forecast: LCDB 1.1, the classifiers of Hoiem et al. (2021), and CSV files of the public benchmark."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from benchmarks.forecast.cases import Cases, make_cases
from lcjax.curves.readers.csv import read_curves
from lcjax.files import require_folder

__all__ = ["FAMILIES", "hoiem_cases", "lcdb_cases", "read_cases", "sample_rows", "select_cuts", "table_cases"]

FAMILIES = {
    "linear": ("LogisticRegression", "PassiveAggressive", "Perceptron", "RidgeClassifier", "SGDClassifier"),
    "SVM": ("SVM_Linear", "SVM_Poly", "SVM_RBF", "SVM_Sigmoid"),
    "trees": (
        *("Decision Tree", "ExtraTree", "ens.ExtraTrees", "ens.RandomForest", "ens.GradientBoosting", "CatBoost"),
    ),
    "Bayes, discriminant": ("LDA", "QDA", "BernoulliNB", "MultinomialNB", "ComplementNB", "GaussianNB"),
    "neighbours": ("KNN", "NearestCentroid"),
    "neural": ("MLP", "TabNet", "RealMLP", "TabPFNv2"),
}
"""Families of the learners of LCDB 1.1; DummyClassifier, whose curves are constant, is omitted."""

DIVISORS, FEWEST = (2, 4, 8, 16), 6
_VALIDATION, _STEP = 1, 1e-4
_HALVES = {"even": 0, "odd": 1}


def read_cases(source: str, *, half: str = "even", curves: int = 1200) -> Cases:
    """Read the cases of a source: `lcdb:FOLDER`, `hoiem:FOLDER` or the path of a CSV file.

    Args:
        source: the source.
        half: half of the data sets of LCDB by the parity of their number, "even" or "odd".
        curves: number of (curve, cut) pairs, a fixed random sample; all if there are fewer.
    """
    kind, _, folder = source.partition(":")
    if kind == "lcdb" and folder:
        return lcdb_cases(Path(folder), half=half, curves=curves)
    if kind == "hoiem" and folder:
        return hoiem_cases(Path(folder))
    return table_cases(Path(source), curves=curves)


def lcdb_cases(
    folder: Path, *, half: str = "even", curves: int = 1200, divisors: Sequence[int] = DIVISORS, fewest: int = FEWEST
) -> Cases:
    """Cut the validation curves of LCDB 1.1 at fractions of their largest size.

    Args:
        folder: folder with `lcdb11_meta.json` and `lcdb11_error_rate.npz`.
        half: data sets with "even" or "odd" numbers.
        curves: number of pairs, the same for every divisor as far as possible.
        divisors: the cuts are the largest size of a curve divided by these.
        fewest: smallest number of fitted sizes.
    """
    if half not in _HALVES:
        raise ValueError(f"half must be even or odd, got {half!r}.")
    meta = json.loads((require_folder(folder) / "lcdb11_meta.json").read_text())
    packed = np.load(folder / "lcdb11_error_rate.npz")["er"][_HALVES[half] :: 2, :, 0, :, _VALIDATION]
    family_of = {name: family for family, names in FAMILIES.items() for name in names}
    used = [i for i, name in enumerate(meta["learners"]) if name in family_of]
    learners = np.asarray(meta["learners"])[used]
    data_sets = np.arange(len(packed)) * 2 + _HALVES[half]
    size = np.asarray(meta["anchors"], float)
    error = packed[:, used].reshape(-1, len(size)).astype(float)
    error = np.where(error < 0, np.nan, error * _STEP)
    learner, data_set = np.tile(learners, len(packed)), np.repeat(data_sets, len(used))
    row, cut = select_cuts(size, error, divisors, fewest)
    largest = np.max(np.where(np.isnan(error), 0.0, size), axis=1)
    chosen = sample_rows(np.rint(largest[row] / cut).astype(int), curves)
    row, cut = row[chosen], cut[chosen]
    return make_cases(
        size,
        error[row],
        cut,
        cluster=[f"data set {i}" for i in data_set[row]],
        family=[family_of[name] for name in learner[row]],
        name=[f"{name}, data set {i}" for name, i in zip(learner[row], data_set[row], strict=True)],
        step=_STEP,
    )


def hoiem_cases(folder: Path, divisors: Sequence[int] = (2, 4), fewest: int = 2) -> Cases:
    """Cut the curves of Hoiem et al. (2021) at a half and a quarter of their largest size; repeats are fitted."""
    points = {path.stem: json.loads(path.read_text()) for path in sorted(require_folder(folder).glob("*.json"))}
    if not points:
        raise FileNotFoundError(f"No curve (*.json) in {folder}.")
    size = np.unique([p["num_train_samples"] for curve in points.values() for p in curve]).astype(float)
    repeats = max(len(p["test_errors"]) for curve in points.values() for p in curve)
    replicates = np.full((len(points), repeats, len(size)), np.nan)
    for rows, curve in zip(replicates, points.values(), strict=True):
        for point in curve:
            errors = np.array(point["test_errors"]) / 100
            rows[: len(errors), np.searchsorted(size, point["num_train_samples"])] = errors
    count = (~np.isnan(replicates)).sum(axis=1)
    error = np.where(count > 0, np.nansum(replicates, axis=1) / np.maximum(count, 1), np.nan)
    row, cut = select_cuts(size, error, divisors, fewest)
    names = np.array(list(points))[row]
    return make_cases(size, error[row], cut, cluster=names, name=names, replicates=replicates[row], step=_STEP)


def table_cases(path: Path, *, curves: int = 1200) -> Cases:
    """Read a CSV file of the public benchmark; rows with Training = 0 are held out, domains are the families.

    Raises:
        ValueError: a held-out size lies below a fitted one, or no size is held out.
    """
    table = read_curves(path)
    size, error = np.asarray(table.curve.size, float), np.asarray(table.curve.error, float)
    known = ~np.isnan(size) & ~np.isnan(error)
    cut = np.max(np.where(known & table.fitted, size, -np.inf), axis=1)
    if np.any(known & ~table.fitted & (size <= cut[:, None])):
        raise ValueError(f"{path} holds out sizes below fitted ones; only extrapolation is scored.")
    rows = sample_rows(np.zeros(len(cut), int), curves)
    replicates = table.curve.replicates
    names = np.array(table.names)[rows]
    return make_cases(
        size[rows],
        error[rows],
        cut[rows],
        family=[table.groups[i] or "all" for i in rows],
        name=names,
        replicates=None if replicates is None else np.asarray(replicates, float)[rows],
    )


def select_cuts(
    size: Float[np.ndarray, " s"], error: Float[np.ndarray, "b s"], divisors: Sequence[int], fewest: int
) -> tuple[Int[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Return curve and cut of all pairs with at least `fewest` measured sizes up to the cut, divisor by divisor."""
    known = ~np.isnan(error)
    largest = np.max(np.where(known, size, 0.0), axis=1)
    rows, cuts = [], []
    for divisor in divisors:
        fitted = known & (size <= largest[:, None] / divisor)
        row = np.flatnonzero(fitted.sum(axis=1) >= fewest)
        rows.append(row)
        cuts.append(largest[row] / divisor)
    return np.concatenate(rows), np.concatenate(cuts)


def sample_rows(stratum: Int[np.ndarray, " b"], count: int, seed: int = 0) -> Int[np.ndarray, " c"]:
    """Draw `count` rows without replacement, evenly over strata, in ascending order; all if there are fewer.

    A smaller sample is part of a larger one. The remainder of a stratum that is too small is drawn from the others.
    """
    if count < 1:
        raise ValueError(f"The number of curves must be positive, got {count}.")
    order = np.random.default_rng(seed).permutation(len(stratum))
    rank = np.empty(len(stratum), int)
    for value in np.unique(stratum):
        members = order[stratum[order] == value]
        rank[members] = np.arange(len(members))
    return np.sort(order[np.argsort(rank[order], kind="stable")][:count])
