"""Estimators of scikit-learn, and the scores of its `learning_curve`."""

import copy
import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.data.examples import Data
from lcjax.studies.collection.measurements import Measurements, Training, gather
from lcjax.typing import Array

__all__ = ["Estimator", "gather_scores"]

# Scorers whose values are negated errors, and those with other common names.
_SHORT = {
    "neg_root_mean_squared_error": "rmse",
    "neg_mean_absolute_error": "mae",
    "neg_mean_squared_error": "mse",
    "neg_log_loss": "log_loss",
    "roc_auc": "auc",
}


@dataclasses.dataclass(frozen=True)
class Estimator:
    """An estimator of scikit-learn, or any object with `fit`, that is scored on the test split of a data set.

    Attributes:
        estimator: estimator, cloned for each training; its `random_state`, if it has one, becomes the seed.
        data: data set; inputs are flattened to `(n, d)`.
        scoring: names of scikit-learn's scorers, such as "balanced_accuracy"; by default "accuracy" for classes and
            "neg_root_mean_squared_error" for regression, which is reported as "rmse".

    Raises:
        ValueError: the data have no test split.
    """

    estimator: Any
    data: Data
    scoring: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.data.test is None:
            raise ValueError(f"The data {self.data.name!r} have no test split to score on.")

    def __call__(self, seed: int, indices: Int[np.ndarray, " n"]) -> dict[str, float]:
        """Fit a clone to some training examples and score it on the test split."""
        from sklearn.base import clone
        from sklearn.metrics import get_scorer

        assert self.data.test is not None
        model = clone(self.estimator) if hasattr(self.estimator, "get_params") else copy.deepcopy(self.estimator)
        if "random_state" in getattr(model, "get_params", dict)():
            model.set_params(random_state=seed)
        inputs, targets = (np.asarray(part) for part in (self.data.train.inputs, self.data.train.targets))
        model.fit(inputs[indices].reshape(len(indices), -1), targets[indices])
        tests = np.asarray(self.data.test.inputs).reshape(len(self.data.test.targets), -1)
        usual = ("accuracy",) if self.data.classes else ("neg_root_mean_squared_error",)
        values = {}
        for name in self.scoring or usual:
            value = float(get_scorer(name)(model, tests, np.asarray(self.data.test.targets)))
            values[_metric(name)] = -value if name.startswith("neg_") else value
        return values


def gather_scores(
    train_sizes: Num[Array, " s"], test_scores: Float[Array, "_ r"], *, scoring: str = "accuracy"
) -> Measurements:
    """Return what `sklearn.model_selection.learning_curve` has measured as measurements, with a repeat for each fold.

    Args:
        train_sizes: its first result, numbers of training examples.
        test_scores: its third result, the score of each fold at each size; nan for fits that failed.
        scoring: its argument of that name; a score that begins with "neg_" becomes the metric without a sign.

    Raises:
        ValueError: the scores do not have one row for each size.

    Examples:
        >>> table = gather_scores(np.array([100, 200]), np.array([[0.8, 0.82], [0.9, 0.88]]))
        >>> table.curves().curve.error.round(2).tolist()
        [[0.19, 0.11]]
    """
    sizes, scores = np.asarray(train_sizes), np.asarray(test_scores, float)
    if sizes.ndim != 1 or scores.ndim != 2 or len(sizes) != len(scores):
        raise ValueError(
            f"test_scores need a row of folds for each of train_sizes, got shapes {scores.shape} and {sizes.shape}."
        )
    sign = -1.0 if scoring.startswith("neg_") else 1.0
    return gather(
        Training(int(size), fold, {_metric(scoring): sign * float(value)}, float("nan"))
        for size, row in zip(sizes, scores, strict=True)
        for fold, value in enumerate(row)
    )


def _metric(scorer: str) -> str:
    """Return the name of the metric of one of scikit-learn's scorers."""
    return _SHORT.get(scorer, scorer.removeprefix("neg_"))
