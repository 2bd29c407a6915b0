"""Options shared by several commands."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from typer.models import OptionInfo

from lcjax.cli.numbers import OptionError, Range, parse_list

if TYPE_CHECKING:
    from lcjax.data.examples import Data
    from lcjax.data.shards import Shards

__all__ = ["DeviceName", "ShardsName"]


def _panel(name: str) -> Callable[..., OptionInfo]:
    """Return a constructor of options that `--help` lists in one panel; those with a range are numbers in it."""

    def option(
        text: str,
        *names: str,
        numbers: Range | None = None,
        show_default: bool | str = True,
        autocompletion: Callable[[], list[str]] | None = None,
    ) -> OptionInfo:
        info: OptionInfo = typer.Option(
            *names,
            help=text,
            parser=None if numbers is None else numbers.parse_option,
            metavar=None if numbers is None else str(numbers),
            show_default=show_default,
            autocompletion=autocompletion,
            rich_help_panel=name,
        )
        return info

    return option


def model_names() -> list[str]:
    """Return the names of `--model`, the keys of `lcjax.studies.RECIPES`."""
    from lcjax.studies.recipes import RECIPES

    return list(RECIPES)


def model_option(text: str) -> OptionInfo:
    """Return an option whose values `parse_model` checks when the command runs, so that `--help` needs no JAX."""
    help_text = f"{text}, such as mlp, lenet or resnet18; an unknown name lists all."
    return training(help_text, show_default="mlp or driving, by the data", autocompletion=model_names)


data, training, theory = _panel("Data"), _panel("Training"), _panel("Theory")
fit, result = _panel("Fit"), _panel("Result")
SOURCES = (
    "digits, csv:FILE?target=NAME, parquet:FILE, images:DIR, npz:FILE, libsvm:FILE, tfds:NAME, idx:DIR, cifar10:DIR, "
    "cifar100:DIR or driving:DIR; see docs/data.md"
)

Settings: TypeAlias = dict[str, Any]  # keyword arguments of a study, and their record in its JSON
COUNT = Range(int, 1)
SEEDS, WIDTH, BATCH = Range(int, 1, 100_000), Range(int, 1, 1_000_000), Range(int, 1, 1_000_000)
FRACTION, RATE = Range(float, 0, 1, open_low=True), Range(float, 0, open_low=True)
ERROR = Range(float, 0, 1, open_low=True, open_high=True)
EPOCHS = Range(float, 0, 1e6)

DeviceName = StrEnum("DeviceName", ["cpu", "gpu", "tpu"])
ShardsName = StrEnum("ShardsName", ["nested", "independent"])

DataOption: TypeAlias = Annotated[str, data(f"Data set: {SOURCES}.")]
SizeOption: TypeAlias = Annotated[
    int | None, data("Number of training examples to use.", numbers=Range(int, 2), show_default="all")
]
FractionsOption: TypeAlias = Annotated[
    str | None,
    data("Fractions of the training set to train on, separated by commas.", show_default="seven, from 0.03125 to 1"),
]
GroupsOption: TypeAlias = Annotated[
    str | None,
    data(
        "Array of npz:FILE or column of csv:FILE with the group of each example (person, site); no group is in two "
        "splits.",
        show_default="none",
    ),
]
RegressionOption: TypeAlias = Annotated[
    bool | None, data("Treat the targets as quantities, or as classes.", show_default="integers and text are classes")
]
ToleranceOption: TypeAlias = Annotated[
    float | None,
    data(
        "Regression: largest error of a prediction that counts as correct, in the unit of the targets; the others are "
        "the error.",
        numbers=Range(float, 0, open_low=True),
        show_default="none, or 0.1 for --row",
    ),
]
ShardsOption: TypeAlias = Annotated[
    ShardsName, data("Shards of a seed: prefixes of one order, or drawn independently for each size as in the paper.")
]
SeedsOption: TypeAlias = Annotated[
    int, training("Number of repeated trainings, each with its own seed.", numbers=SEEDS)
]
StepsOption: TypeAlias = Annotated[
    int | None, training("Smallest number of optimizer steps per training.", numbers=COUNT, show_default="the recipe's")
]
EpochsOption: TypeAlias = Annotated[
    float | None,
    training("Passes over the shard, if they take more than --steps.", numbers=EPOCHS, show_default="the recipe's"),
]
SizeColumnOption: TypeAlias = Annotated[
    str | None, fit("Column of the numbers of training examples.", show_default="recognized")
]
MetricColumnOption: TypeAlias = Annotated[
    str | None, fit("Column of the values of the metric.", show_default="recognized")
]
RepeatColumnOption: TypeAlias = Annotated[
    str | None, fit("Column that identifies repeats, such as seeds.", show_default="recognized")
]
CurveColumnOption: TypeAlias = Annotated[
    list[str] | None, fit("Column with the name of the curve; repeatable.", show_default="recognized")
]
SelectOption: TypeAlias = Annotated[
    list[str] | None, fit("NAME=VALUE: read only the rows that have this value in a column; repeatable.")
]
WidthsOption: TypeAlias = Annotated[str, theory("Bottleneck widths to try, ascending, separated by commas.")]
TrackOption: TypeAlias = Annotated[
    list[str] | None,
    result("Also store the result with mlflow:URI or tensorboard:DIR; repeatable.", show_default="nowhere"),
]
MarginOption: TypeAlias = Annotated[
    float | None,
    theory(
        "Largest loss of accuracy by a bottleneck, a fraction.", numbers=Range(float, 0, 1), show_default="the recipe's"
    ),
]


def require_classes(command: str, task: "Data") -> None:
    """Refuse a regression for a command that compares classes."""
    if not task.classes:
        raise ValueError(
            f"lcjax {command} needs classes; the targets of {task.name} are real numbers. If they are the numbers of "
            "classes, pass --no-regression."
        )


def require_rate(command: str, task: "Data", tolerance: float | None) -> None:
    """Refuse a regression without a tolerance for a command whose theory is one of error rates.

    Raises:
        ValueError: the targets are quantities and no tolerance is given, or one within which all of them lie.
    """
    import numpy as np

    from lcjax.data.balance import check_tolerance

    if not task.classes and np.ndim(task.train.targets) == 1 and tolerance is None:
        deviation = float(np.std(np.asarray(task.train.targets), dtype=np.float64))
        raise ValueError(
            f"lcjax {command} needs an error rate, and the targets of {task.name} are quantities with a standard "
            f"deviation of {deviation:.3g}. Pass --tolerance, the largest error of a correct prediction, "
            f"such as {deviation / 4:.1g}. lcjax measure forecasts the RMSE."
        )
    check_tolerance(task)


def parse_model(name: str | None, task: "Data") -> str:
    """Return the name of `--model`, by default mlp, or driving for images with real targets."""
    if name is None:
        return "driving" if task.train.inputs.ndim == 4 and not task.classes else "mlp"
    if name not in model_names():
        raise OptionError(f"There is no model {name!r}; --model is one of {', '.join(model_names())}.")
    return name


def parse_selection(texts: Sequence[str] | None) -> dict[str, str]:
    """Return the columns and values of `--select NAME=VALUE`."""
    pairs = [text.partition("=") for text in texts or ()]
    for name, sign, value in pairs:
        if not (name.strip() and sign):
            raise OptionError(f"--select must be NAME=VALUE, such as model=mlp, got {name + sign + value!r}.")
    return {name.strip(): value.strip() for name, _, value in pairs}


def parse_widths(text: str) -> tuple[int, ...]:
    """Return the widths of `--widths`, positive and ascending."""
    widths = parse_list("--widths", text, WIDTH)
    if sorted(set(widths)) != list(widths):
        raise OptionError(f"--widths must be distinct and ascending, got {text!r}.")
    return widths


def parse_fractions(text: str | None, default: Sequence[float]) -> tuple[float, ...]:
    """Return the fractions of `--fractions`."""
    return tuple(default) if text is None else parse_list("--fractions", text, FRACTION)


def shards_function(name: ShardsName) -> "Shards":
    """Return the function that draws the shards."""
    from lcjax.data.shards import independent_shards, nested_shards

    return nested_shards if name is ShardsName.nested else independent_shards


def source_name(data: str) -> str:
    """Return the name of a data set for use in folder names.

    Examples:
        >>> source_name("digits"), source_name("npz:/data/waves.npz")
        ('digits', 'npz-waves')
    """
    scheme, _, place = data.partition(":")
    return "-".join(part for part in (scheme, Path(place).name.partition(".")[0]) if part)
