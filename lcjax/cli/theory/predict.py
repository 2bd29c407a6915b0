"""`lcjax predict`."""

import dataclasses
import functools
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from lcjax.cli import options
from lcjax.cli.command import Job, command
from lcjax.cli.numbers import Range
from lcjax.cli.targets import TargetErrorOption, TargetOption, error_target
from lcjax.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.data.examples import Data
    from lcjax.papers.bisla import PaperRow
    from lcjax.studies.prediction.record import Prediction
    from lcjax.studies.recipes import Recipe

__all__ = ["LawName", "RowName", "predict"]

LawName = StrEnum("LawName", ["hypercube", "poisson"])
RowName = StrEnum(
    "RowName",
    "mnist-lenet cifar10-vgg16 cifar10-resnet18 cifar100-vgg16 cifar100-resnet18 imagenet-resnet50 udacity-convnet",
)


@command("Theory", "prediction.json", "result.json", resumable=True)
def predict(
    job: Job,
    data: Annotated[
        str | None, options.data(f"Data set: {options.SOURCES}.", show_default="digits, or the row's from TFDS")
    ] = None,
    row: Annotated[
        RowName | None,
        options.data(
            "Row of Table 3 of Bisla et al. (2021): sets model, optimizer and fractions, and prints its numbers."
        ),
    ] = None,
    groups: options.GroupsOption = None,
    regression: options.RegressionOption = None,
    tolerance: options.ToleranceOption = None,
    size: options.SizeOption = None,
    fractions: options.FractionsOption = None,
    model: Annotated[str | None, options.model_option("Model to train")] = None,
    width: Annotated[
        float,
        options.training("Factor on all filters of a residual network.", numbers=Range(float, 0, 100, open_low=True)),
    ] = 1.0,
    seeds: options.SeedsOption = 5,
    steps: options.StepsOption = None,
    epochs: options.EpochsOption = None,
    dimension: Annotated[
        int | None,
        options.theory(
            "Effective dimension of features.", numbers=options.COUNT, show_default="measured with bottlenecks"
        ),
    ] = None,
    widths: options.WidthsOption = "1,2,3,4,5,6,7,8",
    fine_tune_steps: Annotated[
        int | None,
        options.theory(
            "Optimizer steps of each fine-tuning with a bottleneck.", numbers=options.COUNT, show_default="the recipe's"
        ),
    ] = None,
    margin: options.MarginOption = None,
    law: Annotated[
        list[LawName] | None, options.theory("Law of the nearest-neighbor distance; repeatable.", show_default="all")
    ] = None,
    paper_protocol: Annotated[
        bool, options.theory("Fit to test errors and test features, as in the paper, instead of validation ones.")
    ] = False,
    target: TargetOption = None,
    target_error: TargetErrorOption = None,
) -> None:
    """Predict the learning curve of a model from small trainings, and check the prediction at held-out sizes.

    Trains on nested balanced shards and extrapolates the validation errors with a Bayesian forecast, power laws and the
    nearest-neighbor error model (Bisla et al., 2021). The methods are checked at half of the data and more, then
    refitted to all sizes and averaged. Writes prediction.json before any test label is read, then result.json and the
    figures.
    """
    if row is not None and model is not None:
        raise ValueError(f"--row {row.value} sets the model; leave out --model {model}.")
    bottlenecks = options.parse_widths(widths)
    goal = error_target(target, target_error)
    given = None if fractions is None else options.parse_fractions(fractions, ())

    from lcjax.cli.theory.predict_tables import describe_data, print_prediction, print_row, print_settings
    from lcjax.data.arrays import limit_training
    from lcjax.data.balance import check_targets
    from lcjax.data.examples import TOLERANCE
    from lcjax.data.sources import load_data
    from lcjax.papers.bisla import FRACTIONS, TABLE_3
    from lcjax.reports.prediction import prediction_page
    from lcjax.studies.prediction.predict import predict_learning_curve
    from lcjax.studies.prediction.table_three import row_settings, side_by_side
    from lcjax.theory import laws
    from lcjax.threads import import_ahead
    from lcjax.training import Budget

    paper = None if row is None else TABLE_3[row.value]
    data = data or ("digits" if paper is None else paper.data)
    if not data:
        raise ValueError(f"--row {row} needs --data: TFDS has no such set; driving:DIR is a recorded drive.")
    shares: tuple[float, ...] = given or (FRACTIONS if paper is None else paper.fractions)
    task = load_data(data, seed=job.seed, groups=groups, regression=regression, tolerance=tolerance or TOLERANCE)
    options.require_rate("predict", task, TOLERANCE if tolerance is None and row is not None else tolerance)
    job.print_notes(task.notes)
    if size is not None:
        task = limit_training(task, size, seed=job.seed)
    name, recipe = _recipe(task, paper, model, width)
    name = name if row is None else row.value
    recipe = recipe.with_budget(steps=steps, epochs=epochs)
    if fine_tune_steps is not None:
        recipe = dataclasses.replace(recipe, fine_tune=Budget(steps=fine_tune_steps))
    import_ahead("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg")
    folder = job.open_folder(f"predict-{options.source_name(data)}-{name}")
    if not job.is_silent:
        print(printable(describe_data(data, task)))
        if paper is not None:
            print_settings(paper.label, row_settings(paper, recipe, shares))
    margin = recipe.margin if margin is None else margin
    shards = options.Settings(fractions=shares, seeds=seeds, dimension=dimension, widths=bottlenecks, margin=margin)
    functions = [getattr(laws, one.value) for one in law or LawName]
    fits = options.Settings(row=paper, laws=functions, target_error=goal, paper_protocol=paper_protocol)
    with job.show_progress() as report:
        prediction = predict_learning_curve(job.key, task, recipe, **shards, **fits, folder=folder, on_progress=report)
    title = f"{data.rpartition('/')[2]}, {name}"
    files = _draw(prediction, folder, title, goal, margin)
    test_count, cautions = 0 if task.test is None else len(task.test.targets), check_targets(task)
    about = options.Settings(chance_error=task.chance_error(), test_count=test_count, notes=cautions)
    files.append(job.write_report(folder, prediction_page(prediction, title=f"Learning curve of {title}", **about)))

    def show(console: "Console") -> None:
        print_prediction(console, prediction, task.chance_error(), goal, test_count)
        for caution in cautions:
            console.print(f"Caution: {caution}")
        if paper is not None:
            print_row(side_by_side(paper, prediction))

    job.finish(folder / "result.json", files, show)


def _recipe(task: "Data", row: "PaperRow | None", model: str | None, width: float) -> "tuple[str, Recipe]":
    """Return the name of the model and the recipe of its training."""
    from lcjax.studies.prediction.table_three import row_recipe
    from lcjax.studies.recipes import RECIPES, image_recipe

    name = options.parse_model(model, task)
    if row is not None:
        return name, row_recipe(row, task, width=width)
    return name, RECIPES[name](task) if width == 1 else image_recipe(task, model=name, width=width)


def _draw(prediction: "Prediction", folder: Path, title: str, goal: float | None, margin: float) -> list[Path]:
    from matplotlib.figure import Figure

    from lcjax.cli.output import save_figure, save_plot
    from lcjax.plots import prediction as plots

    title = f"{title}: effective dimension {int(prediction.dimension)}"
    plot = functools.partial(plots.plot_prediction, prediction, target_error=goal)
    files = [*save_plot(folder / "learning_curve", plot, (6.4, 4.7), title)]
    if prediction.bottleneck is not None:
        figure = Figure(figsize=(10.0, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        plots.plot_bottleneck(prediction.bottleneck, left, dimension=int(prediction.dimension), margin=margin)
        plots.plot_training_error(prediction, right)
        files += save_figure(figure, folder / "assumptions")
    return files
