"""The experiments of Table 3 of Bisla et al. (2021): recipe, settings, and the paper's numbers beside ours."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from lcjax.data.examples import Data
from lcjax.papers.bisla import PaperRow
from lcjax.studies.prediction.record import Prediction
from lcjax.studies.recipes import RECIPES, Recipe, image_recipe
from lcjax.training import momentum

__all__ = ["row_recipe", "row_settings", "side_by_side"]


def row_recipe(row: PaperRow, data: Data, *, width: float = 1.0) -> Recipe:
    """Return the recipe of a row: the optimizer is the paper's, the rest ours; `width` scales residual networks.

    Raises:
        ValueError: the data do not fit the model, or the model has no width.

    Examples:
        >>> import lcjax as lc
        >>> from lcjax.papers.bisla import TABLE_3
        >>> row_recipe(TABLE_3["mnist-lenet"], lc.load_data("digits")).program.optimizer.__name__
        'momentum'
    """
    if row.model not in ("lenet", "driving"):
        return image_recipe(data, model=row.model, width=width)
    if width != 1:
        raise ValueError(f"Only residual networks have a width, not {row.model}: got {width}.")
    recipe = RECIPES[row.model](data)
    if row.model == "driving":
        return recipe
    program = dataclasses.replace(recipe.program, optimizer=momentum)
    return dataclasses.replace(recipe, program=program, learning_rate=0.02, fine_tune_rate=0.01)


def row_settings(row: PaperRow, recipe: Recipe, fractions: Sequence[float]) -> list[tuple[str, str, str]]:
    """Return the settings of a row as (setting, value, source); the source is the paper or our choice.

    Examples:
        >>> import lcjax as lc
        >>> from lcjax.papers.bisla import TABLE_3
        >>> row = TABLE_3["mnist-lenet"]
        >>> row_settings(row, row_recipe(row, lc.load_data("digits")), row.fractions)[1]
        ('optimizer', 'stochastic gradient descent', 'paper')
    """
    program, tune = recipe.program, recipe.fine_tune
    adam = program.optimizer.__name__ == "adam"
    sources = {"lenet": "paper; no padding: ours", "driving": "ours (paper: layers in a supplement)"}
    of_paper = tuple(fractions) == row.fractions
    return [
        ("model", row.label.split(", ")[1], sources.get(row.model, "paper; variant by image size: ours")),
        ("optimizer", "Adam" if adam else "stochastic gradient descent", "paper"),
        ("momentum", "–" if adam else "0.9", "ours"),
        ("loss", program.objective.__name__.replace("_", " "), "paper"),
        ("learning rate", f"{recipe.learning_rate:g}, {program.schedule.__name__}", "ours"),
        ("batch size", str(program.batch), "ours"),
        ("length", f"{program.budget.epochs:g} epochs, at least {program.budget.steps} steps", "ours"),
        ("augmentation, weight decay", "none", "ours"),
        ("fractions, %", _percent(fractions), "paper" if of_paper else f"ours (paper: {_percent(row.fractions)})"),
        ("features", "of the networks trained on 50 %, by principal components", "paper"),
        ("fine-tuning", f"{tune.epochs:g} epochs, at least {tune.steps} steps, rate {recipe.fine_tune_rate:g}", "ours"),
        ("dimension", f"smallest width within {100 * recipe.margin:g} %, tested", "ours (paper: saturation)"),
    ]


def _percent(fractions: Sequence[float]) -> str:
    return ", ".join(f"{100 * fraction:.4g}" for fraction in fractions)


def side_by_side(row: PaperRow, prediction: Prediction) -> dict[str, object]:
    """Return a row of Table 3 beside the same numbers of each seed of a prediction.

    Signs of means are those of principal components, hence arbitrary. Radii of different networks are comparable only
    relative to the spread of their features: "relative_radius" is the radius over the root of the mean variance. The
    prediction must be for the same model and data.

    Returns:
        "row", "test_features", "paper" and "ours", a list with one entry per seed; each has "train_mean",
        "train_variance", "test_mean", "test_variance", "dimension", "radius" and "relative_radius" (by law).
    """
    printed = row.train_mean, row.train_variance, row.test_mean, row.test_variance
    paper = _numbers([np.asarray(moment) for moment in printed], {"hypercube": row.radius})
    densities = prediction.train_density, prediction.test_density
    moments = [(np.asarray(one.mean), np.asarray(one.covariance)) for one in densities]
    radii = {
        law: np.asarray(method.parameters["radius"])
        for law, method in prediction.methods.items()
        if "radius" in method.parameters and law != "distances"  # those of all features, without a density
    }
    ours = [
        _numbers(
            [one for mean, covariance in moments for one in (mean[seed], np.diagonal(covariance[seed]))],
            {law: float(radius[seed]) for law, radius in radii.items()},
        )
        for seed in range(len(moments[0][0]))
    ]
    test_features = "test" if prediction.paper_protocol else "validation"
    return {"row": row.label, "test_features": test_features, "paper": paper, "ours": ours}


def _numbers(moments: Sequence[np.ndarray], radius: dict[str, float]) -> dict[str, object]:
    names = ("train_mean", "train_variance", "test_mean", "test_variance")
    numbers = {name: moment.tolist() for name, moment in zip(names, moments, strict=True)}
    spread = float(np.sqrt(np.mean(moments[1])))
    relative = {law: value / spread for law, value in radius.items()}
    return {**numbers, "dimension": len(moments[0]), "radius": radius, "relative_radius": relative}
