"""The seven rows of Table 3 of Bisla et al. (2021): what the paper reports, what it states of the training, ours."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from lcjax.data.examples import Data
from lcjax.studies.prediction.record import Prediction
from lcjax.studies.recipes import RECIPES, Recipe, image_recipe
from lcjax.training import momentum

__all__ = ["ROWS", "PaperRow", "row_recipe", "row_settings", "side_by_side"]

FRACTIONS = (0.03125, 0.0625, 0.125, 0.25, 0.5, 0.75, 1.0)
IMAGENET_FRACTIONS = (
    0.0390, 0.0585, 0.0780, 0.1170, 0.1561, 0.1951, 0.3122, 0.3902, 0.5854, 0.6244, 0.7805, 1.0,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class PaperRow:
    """A row of Table 3.

    Attributes:
        label: data set and model as the paper calls them.
        model: what `--model` calls the net.
        data: where to take the data from; "" where there is no such source.
        fractions: shares of the training set (section 4.2.2).
        train_mean: of the Gaussian of the training features, `(d,)`.
        train_variance: diagonal of its covariance, `(d,)`.
        test_mean: of the test features' Gaussian, `(d,)`.
        test_variance: diagonal of its covariance, `(d,)`.
        radius: delta.
    """

    label: str
    model: str
    data: str
    fractions: tuple[float, ...]
    train_mean: tuple[float, ...]
    train_variance: tuple[float, ...]
    test_mean: tuple[float, ...]
    test_variance: tuple[float, ...]
    radius: float

    @property
    def dimension(self) -> int:
        """Effective dimension."""
        return len(self.train_mean)


# The row of ImageNet has the same numbers for training and test features in the paper.
ROWS: dict[str, PaperRow] = {
    "mnist-lenet": PaperRow(
        "MNIST, LeNet", "lenet", "tfds:mnist", FRACTIONS,
        (0.020, 0.012), (377.855, 264.029), (-0.061, -0.036), (384.357, 270.399), 17.375,
    ),
    "cifar10-vgg16": PaperRow(
        "CIFAR-10, VGG-16", "vgg16", "tfds:cifar10", FRACTIONS,
        (-0.004, 0.024), (98.192, 80.676), (0.009, -0.060), (87.691, 76.163), 0.890,
    ),
    "cifar10-resnet18": PaperRow(
        "CIFAR-10, ResNet-18", "resnet18", "tfds:cifar10", FRACTIONS,
        (-0.003, -0.001), (3.717, 2.789), (0.007, 0.003), (3.726, 2.662), 0.262,
    ),
    "cifar100-vgg16": PaperRow(
        "CIFAR-100, VGG-16", "vgg16", "tfds:cifar100", FRACTIONS,
        (0.023, 0.0464), (123.572, 121.108), (-0.0584, -0.116), (102.838, 97.932), 0.265,
    ),
    "cifar100-resnet18": PaperRow(
        "CIFAR-100, ResNet-18", "resnet18", "tfds:cifar100", FRACTIONS,
        (-0.001, -0.010), (3.648, 3.449), (0.003, 0.0260), (2.914, 2.811), 0.056,
    ),
    "imagenet-resnet50": PaperRow(
        "ImageNet, ResNet-50", "resnet50", "tfds:imagenet2012", IMAGENET_FRACTIONS,
        (-0.002, -0.007, -0.020), (19.940, 14.308, 12.331), (-0.002, -0.007, -0.020), (19.940, 14.308, 12.331), 0.340,
    ),
    "udacity-convnet": PaperRow(
        "Udacity, ConvNet", "driving", "", FRACTIONS, (-0.0111,), (4.3415,), (0.0265,), (6.1000,), 0.003
    ),
}  # fmt: skip


def row_recipe(row: PaperRow, data: Data, *, width: float = 1.0) -> Recipe:
    """How the net of a row is trained: with the optimizer that the paper names, the rest ours.

    Args:
        row: of the table.
        data: the task.
        width: factor of all filters of a residual network.

    Raises:
        ValueError: the data do not suit the net, or a width is given to a net that has none.

    Examples:
        >>> import lcjax as lc
        >>> row_recipe(ROWS["mnist-lenet"], lc.load_data("digits")).program.optimizer.__name__
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
    """What is done for a row: the step, what it is set to, and whether that is the paper's or our choice.

    Examples:
        >>> import lcjax as lc
        >>> row = ROWS["mnist-lenet"]
        >>> row_settings(row, row_recipe(row, lc.load_data("digits")), row.fractions)[1]
        ('optimizer', 'stochastic gradient descent', 'paper')
    """
    program, tune = recipe.program, recipe.fine_tune
    adam = program.optimizer.__name__ == "adam"
    percent = ", ".join(f"{100 * fraction:.4g}" for fraction in fractions)
    objective = program.objective.__name__.replace("_", " ")
    net = {
        "lenet": "paper; no padding: ours",
        "driving": "ours (paper: layers in a supplement)",
    }.get(row.model, "paper; form by the size of the images: ours")
    return [
        ("net", row.label.split(", ")[1], net),
        ("optimizer", "Adam" if adam else "stochastic gradient descent", "paper"),
        ("momentum", "–" if adam else "0.9", "ours"),
        ("loss", objective, "paper"),
        ("rate", f"{recipe.learning_rate:g}, {program.schedule.__name__}", "ours"),
        ("batch", str(program.batch), "ours"),
        ("length", f"{program.budget.epochs:g} epochs, at least {program.budget.steps} steps", "ours"),
        ("augmentation, weight decay", "none", "ours"),
        ("shares, %", percent, "paper" if tuple(fractions) == row.fractions else f"ours (paper: {_shares(row)})"),
        ("features", "of the nets trained on 50 %, by principal components", "paper"),
        ("fine-tuning", f"{tune.epochs:g} epochs, at least {tune.steps} steps, rate {recipe.fine_tune_rate:g}", "ours"),
        ("dimension", f"smallest width within {100 * recipe.margin:g} %, tested", "ours (paper: saturation)"),
    ]


def _shares(row: PaperRow) -> str:
    return ", ".join(f"{100 * fraction:.4g}" for fraction in row.fractions)


def side_by_side(row: PaperRow, prediction: Prediction) -> dict[str, Any]:
    """The row as the paper has it and as each seed of a prediction gives it.

    Signs of means are those of principal components: arbitrary. Radii of different nets compare only relative to the
    spread of their features, so the radius over the root of the mean variance stands beside it.

    Args:
        row: of the table.
        prediction: of the same net on the same data.

    Returns:
        "row", "paper" and "ours", a list with one entry a seed; numbers as in Table 3: "train_mean", "train_variance",
        "test_mean", "test_variance", "dimension", "radius" (for ours one a law) and "relative_radius".
    """
    scale = float(np.sqrt(np.mean(row.train_variance)))
    paper = {
        "train_mean": list(row.train_mean),
        "train_variance": list(row.train_variance),
        "test_mean": list(row.test_mean),
        "test_variance": list(row.test_variance),
        "dimension": row.dimension,
        "radius": {"hypercube": row.radius},
        "relative_radius": {"hypercube": row.radius / scale},
    }
    ours = []
    train, test = prediction.train, prediction.test
    for seed in range(len(train.mean)):
        variances = [np.diagonal(np.asarray(part.covariance)[seed]) for part in (train, test)]
        spread = float(np.sqrt(np.mean(variances[0])))
        radius = {law: float(np.asarray(value)[seed]) for law, value in prediction.radius.items()}
        ours.append(
            {
                "train_mean": np.asarray(train.mean)[seed].tolist(),
                "train_variance": variances[0].tolist(),
                "test_mean": np.asarray(test.mean)[seed].tolist(),
                "test_variance": variances[1].tolist(),
                "dimension": int(prediction.dimension),
                "radius": radius,
                "relative_radius": {law: value / spread for law, value in radius.items()},
            }
        )
    return {"row": row.label, "test_features": "test" if prediction.paper_protocol else "validation",
            "paper": paper, "ours": ours}  # fmt: skip
