"""`lcjax predict`."""

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lcjax.cli.options import (
    DeviceName,
    ModelName,
    app,
    integer_list,
    number_list,
    one_line_errors,
    progress_bars,
    use_device,
    writable,
)
from lcjax.cli.papers.table_three import print_row, print_settings

__all__ = ["LawName", "RowName", "predict"]


class LawName(StrEnum):
    """Laws of the nearest-neighbour distance that `--law` knows."""

    hypercube = "hypercube"
    poisson = "poisson"


class RowName(StrEnum):
    """Rows of Table 3 of Bisla et al. (2021) that `--row` knows."""

    mnist_lenet = "mnist-lenet"
    cifar10_vgg16 = "cifar10-vgg16"
    cifar10_resnet18 = "cifar10-resnet18"
    cifar100_vgg16 = "cifar100-vgg16"
    cifar100_resnet18 = "cifar100-resnet18"
    imagenet_resnet50 = "imagenet-resnet50"
    udacity_convnet = "udacity-convnet"


@app.command()
@one_line_errors(interrupted="Interrupted. What had finished is kept; the same command goes on from there.")
def predict(
    data: Annotated[
        str | None,
        typer.Option(
            help="digits, npz:FILE, tfds:NAME, or idx:, cifar10:, cifar100:, driving:DIR; digits, or the row's set "
            "from tfds, if not given.",
            rich_help_panel="Task",
        ),
    ] = None,
    row: Annotated[
        RowName | None,
        typer.Option(
            help="A row of Table 3 of Bisla et al. (2021): its net, optimizer and fractions, and its numbers beside "
            "ours.",
            rich_help_panel="Task",
        ),
    ] = None,
    model: Annotated[
        ModelName | None, typer.Option(help="The net; chosen by the data if not given.", rich_help_panel="Task")
    ] = None,
    width: Annotated[
        float, typer.Option(min=0, help="Factor of all filters of a residual network.", rich_help_panel="Task")
    ] = 1.0,
    size: Annotated[
        int | None,
        typer.Option(min=2, help="Use so many of the training examples; all by default.", rich_help_panel="Task"),
    ] = None,
    fractions: Annotated[
        str | None,
        typer.Option(
            help="Shares of the training set (of --size) to train on; 0.03125,0.0625,0.125,0.25,0.5,0.75,1 or the "
            "row's if not given.",
            rich_help_panel="Task",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of every shard.", rich_help_panel="Task")] = 5,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Least optimizer steps of a training.", rich_help_panel="Task")
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(min=0, help="Passes over the shard, if that is more.", rich_help_panel="Task")
    ] = None,
    dimension: Annotated[
        int | None,
        typer.Option(
            min=1, help="Effective dimension; measured by bottlenecks if not given.", rich_help_panel="Theory"
        ),
    ] = None,
    widths: Annotated[
        str, typer.Option(help="Widths of the bottleneck to try.", rich_help_panel="Theory")
    ] = "1,2,3,4,5,6,7,8",
    fine_tune_steps: Annotated[
        int | None,
        typer.Option(min=1, help="Optimizer steps of each fine-tuning with a bottleneck.", rich_help_panel="Theory"),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Loss of accuracy that a bottleneck may cause.", rich_help_panel="Theory"),
    ] = None,
    law: Annotated[
        list[LawName] | None,
        typer.Option(help="Laws of the distance; may be repeated. All if not given.", rich_help_panel="Theory"),
    ] = None,
    paper_protocol: Annotated[
        bool,
        typer.Option(
            help="Fit to test errors and test features, as the paper does, instead of validation ones.",
            rich_help_panel="Theory",
        ),
    ] = False,
    target_error: Annotated[
        float | None, typer.Option(help="Error in (0, 1): how many examples reach it?", rich_help_panel="Result")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for all results.", rich_help_panel="Result")] = None,
    device: Annotated[DeviceName | None, typer.Option(help="Where to run.", rich_help_panel="Result")] = None,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**32 - 1, help="Seed of the splits and of every stream.", rich_help_panel="Result"),
    ] = 0,
    print_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, no table.", rich_help_panel="Result")
    ] = False,
) -> None:
    """Predict the learning curve of a net from small trainings, and check the prediction on held-out sizes.

    Trains on nested balanced shards, measures the effective dimension of the features by bottlenecks, fits the radius
    of the nearest-neighbour error model (Bisla et al. 2021) below half of the data, and predicts the error at every
    size and beyond the data. Writes prediction.json before any test label is read, then result.json and the figures.
    """
    if row is not None and model is not None:
        raise ValueError(f"--row {row.value} sets the net; leave out --model {model.value}.")
    chosen_widths = integer_list("--widths", widths)
    if min(chosen_widths) < 1 or sorted(set(chosen_widths)) != list(chosen_widths):
        raise ValueError(f"--widths takes different widths from 1 on, ascending, got {widths!r}.")
    import jax

    import lcjax.theory.laws as laws
    from lcjax.data.arrays import limit_training
    from lcjax.data.sources import load_data
    from lcjax.papers.bisla import FRACTIONS, TABLE_3
    from lcjax.studies.prediction.predict import predict_learning_curve
    from lcjax.studies.prediction.table_three import row_recipe, row_settings, side_by_side
    from lcjax.studies.recipes import RECIPES, image_recipe
    from lcjax.training import Budget

    if target_error is not None and not 0 < target_error < 1:
        raise ValueError(f"--target-error must lie in (0, 1), got {target_error}.")
    of_paper = None if row is None else TABLE_3[row.value]
    data = data or ("digits" if of_paper is None else of_paper.data)
    if not data:
        raise ValueError(f"--row {row} needs --data: TFDS has no such set; driving:DIR is a recorded drive.")
    shares: tuple[float, ...] = FRACTIONS if of_paper is None else of_paper.fractions
    if fractions is not None:
        shares = number_list("--fractions", fractions)
    use_device(device)
    task = load_data(data, seed=seed)
    if size is not None:
        task = limit_training(task, size, seed=seed)
    images = task.train.inputs.ndim == 4
    name = model or (ModelName.driving if images and not task.classes else ModelName.mlp)
    told = name.value if row is None else row.value
    if of_paper is not None:
        recipe = row_recipe(of_paper, task, width=width)
    else:
        recipe = RECIPES[name.value](task) if width == 1 else image_recipe(task, model=name.value, width=width)
    recipe = recipe.with_budget(steps=steps, epochs=epochs)
    if fine_tune_steps is not None:
        recipe = dataclasses.replace(recipe, fine_tune=Budget(steps=fine_tune_steps))
    scheme, _, place = data.partition(":")
    source = "-".join(part for part in (scheme, Path(place).stem) if part)
    folder = writable(output or Path("lcjax-results") / f"predict-{source}-{told}")
    options: dict[str, Any] = {} if margin is None else {"margin": margin}
    if not print_json:
        print(_told_data(data, task))
        if of_paper is not None:
            print_settings(of_paper.label, row_settings(of_paper, recipe, shares))
    with progress_bars(quiet=print_json) as report:
        prediction = predict_learning_curve(
            jax.random.key(seed),
            task,
            recipe,
            fractions=shares,
            seeds=seeds,
            dimension=dimension,
            widths=chosen_widths,
            row=of_paper,
            laws=[getattr(laws, chosen.value) for chosen in law or LawName],
            target_error=target_error,
            paper_protocol=paper_protocol,
            folder=folder,
            on_progress=report,
            **options,
        )
        title = f"{data.rpartition('/')[2]}, {told}"
        chosen_margin = recipe.margin if margin is None else margin
        files = _draw_prediction(prediction, folder, title, target_error, chosen_margin)
    if print_json:
        print((folder / "result.json").read_text(), end="")
    else:
        _print_prediction(prediction, task.chance_error(), target_error)
        if of_paper is not None:
            print_row(side_by_side(of_paper, prediction))
        print(f"Results: {folder / 'result.json'}, {', '.join(str(file) for file in files)}")
    if target_error is not None and all(
        method.size_for_error.status == "unreachable" for method in prediction.methods.values()
    ):
        raise ValueError(
            f"The target error {target_error:g} is not reached by any predicted curve below 1e15 examples; "
            f"the curves themselves are in {folder}."
        )


def _draw_prediction(
    prediction: Any, folder: Path, title: str, target_error: float | None, margin: float
) -> list[Path]:
    from matplotlib.figure import Figure

    from lcjax.cli.output import save_figure
    from lcjax.plots import prediction as plots

    figure = Figure(figsize=(7.2, 5.0), layout="constrained")
    axes = figure.subplots()
    plots.plot_prediction(prediction, axes, target_error=target_error)
    axes.set_title(f"{title}: effective dimension {int(prediction.dimension)}", fontsize="medium")
    written = [*save_figure(figure, folder / "learning_curve")]
    if prediction.bottleneck is not None:
        figure = Figure(figsize=(10.0, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        plots.plot_bottleneck(prediction.bottleneck, left, dimension=int(prediction.dimension), margin=margin)
        plots.plot_training_error(prediction, right)
        written += save_figure(figure, folder / "assumptions")
    return written


def _print_prediction(prediction: Any, chance_error: float, target_error: float | None) -> None:
    import numpy as np
    import rich.console

    from lcjax.cli.output import format_percent, format_size, print_table
    from lcjax.studies.prediction.caveats import caveats, held_out_factor

    console = rich.console.Console()
    methods = list(prediction.methods)
    validation, measured, fitted = prediction.validation, prediction.measured, np.asarray(prediction.fitted)
    grid = np.asarray(prediction.methods[methods[0]].curve.size)
    rows = []
    for size in [*np.asarray(validation.size), grid[-1]]:
        i, at = int(np.searchsorted(validation.size, size)), int(np.searchsorted(grid, size))
        known = i < len(fitted)
        rows.append(
            [
                f"{size:,.0f}",
                format_percent(validation.train_error[i]) if known else "",
                format_percent(validation.error[i], validation.standard_error[i]) if known else "",
                format_percent(measured.error[i], measured.standard_error[i]) if known else "",
                *(format_percent(prediction.methods[method].curve.error[at]) for method in methods),
                "fit" if known and fitted[i] else "",
            ]
        )
    names = [method.replace("_", " ") for method in methods]
    columns = ["examples", "train", "validation", "test", *names, ""]
    print_table(console, "Error in % (± one standard error), predicted from the sizes marked fit", columns, rows)

    sizes = [f"{size:,}" for size in np.asarray(validation.size)[~fitted]]
    excess = [np.expm1(np.asarray(prediction.held_out_log_error[method])) for method in methods]
    rows = [
        [name, *(f"{value:+.0%}" if np.isfinite(value) else "–" for value in values)]
        for name, values in zip(names, excess, strict=True)
    ]
    print_table(console, "Predicted minus measured test error, relative, where nothing was fitted", ["", *sizes], rows)

    if prediction.bottleneck is not None:
        sweep = prediction.bottleneck
        curves = [(sweep.accuracy, sweep.reference), (sweep.neighbor_accuracy, sweep.neighbor_reference)]
        rows = [
            [name, *(format_percent(1 - a) for a in by_width), format_percent(1 - float(without))]
            for name, (by_width, without) in zip(["net", "1-NN"], curves, strict=True)
        ]
        columns = ["width", *(str(width) for width in sweep.width), "none"]
        print_table(console, "Validation error in % with a bottleneck", columns, rows)
        intrinsic = ", ".join(
            f"{name.replace('_', ' ')} {np.mean(estimate.value):.1f}" for name, estimate in sweep.intrinsic.items()
        )
        console.print(f"Intrinsic dimension of the same features: {intrinsic}")
    radii = {n: m.parameters["radius"] for n, m in prediction.methods.items() if "radius" in m.parameters}
    radius = "; ".join(
        f"{law} {np.mean(value):.4g} ({np.min(value):.4g} to {np.max(value):.4g} over seeds)"
        for law, value in radii.items()
    )
    exponent = prediction.exponent
    console.print(f"Effective dimension {int(prediction.dimension)}, radius: {radius}")
    console.print(f"Exponent of the power law {exponent:.2f}, which the theory gives at dimension {-1 / exponent:.1f}")
    factor = held_out_factor(prediction.held_out_log_error)
    if target_error is not None:
        rows = []
        for method in factor or methods:  # the best first
            answer = prediction.methods[method].size_for_error
            interval = f"{format_size(float(answer.low))} to {format_size(float(answer.high))}"
            off = f"{factor[method]:.2f}" if np.isfinite(factor.get(method, np.nan)) else "–"
            rows.append([method.replace("_", " "), format_size(float(answer.value)), interval, off])
        columns = ["", "examples", "90 %, if the method holds", "factor off, held out"]
        print_table(
            console,
            f"Examples for an error of {target_error:.3g}, best method on the held-out sizes first",
            columns,
            rows,
        )
    for sentence in caveats(prediction, chance_error=chance_error, target_error=target_error):
        console.print(f"Caution: {sentence}")


def _told_data(name: str, task: Any) -> str:
    parts = " / ".join(
        f"{len(part.targets):,}" for part in (task.train, task.validation, task.test) if part is not None
    )
    shape = "x".join(str(side) for side in task.train.inputs.shape[1:])
    kind = f"{task.classes} classes" if task.classes else f"regression, wrong if off by more than {task.tolerance:g}"
    return f"{name}: {parts} training / validation / test examples, inputs {shape}, {kind}"
