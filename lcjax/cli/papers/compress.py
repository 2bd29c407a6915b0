"""`lcjax compress`."""

import dataclasses
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from lcjax.cli import options
from lcjax.cli.command import Job, command
from lcjax.cli.job import WIDTH
from lcjax.cli.numbers import Range, parse_list

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.studies.compression.compress import Compression
    from lcjax.typing import Array

__all__ = ["compress"]

DIGITS = 6  # significant digits of the numbers in compress.json
EXAMPLES = "Number of training examples; validation and test get at most a quarter each."
LOSSES = "Losses as in Table 1 of the paper: H or S, plus any of W2, W1, LCA, LCL, BN, D, such as H+W2."
CHOICE = "{} after which settings are compared."

EPOCHS = Range(float, 0.01, 1e6)
STRENGTH = Range(float, 0)

NetName = StrEnum("NetName", ["mlp", "quicknet", "densenet"])


@command("Papers", "compress.json", resumable=True)
def compress(
    job: Job,
    data: options.DataOption = "digits",
    regression: options.RegressionOption = None,
    examples: Annotated[int | None, options.data(EXAMPLES, numbers=Range(int, 4), show_default="all")] = None,
    net: Annotated[NetName, options.training("Perceptrons, Caffe's quick net, or DenseNet.")] = NetName.mlp,
    layers: Annotated[str, options.training("Numbers of hidden layers, one perceptron for each.")] = "1,2,3",
    width: Annotated[int, options.training("Units of a hidden layer.", numbers=options.WIDTH)] = 50,
    depth: Annotated[int, options.training("Layers of a DenseNet.", numbers=Range(int, 7, 1_000))] = 40,
    losses: Annotated[str | None, options.training(LOSSES, show_default="all of the model's table")] = None,
    weight: Annotated[str, options.training("Strengths C of the penalty on weights to try.")] = "1e-4,1e-3,1e-2,1e-1",
    preactivation: Annotated[
        str, options.training("Strengths D of the penalty on pre-activations to try.")
    ] = "1e-8,1e-7,1e-6,1e-5,1e-4",
    rates: Annotated[str, options.training("Learning rates to try.")] = "1e-2,1e-1",
    epochs: Annotated[
        float | None,
        options.training("Passes over the training set, for perceptrons.", numbers=EPOCHS, show_default="500"),
    ] = None,
    choice_epochs: Annotated[
        float | None, options.training(CHOICE.format("Passes"), numbers=EPOCHS, show_default="--epochs")
    ] = None,
    steps: Annotated[
        int | None,
        options.training("Optimizer steps, for convolutional models.", numbers=options.COUNT, show_default="230000"),
    ] = None,
    choice_steps: Annotated[
        int | None, options.training(CHOICE.format("Steps"), numbers=options.COUNT, show_default="--steps")
    ] = None,
    batch: Annotated[
        int | None, options.training("Batch size.", numbers=options.BATCH, show_default="100; 64 for DenseNet")
    ] = None,
    seeds: options.SeedsOption = 5,
    pictures: Annotated[bool, options.result("Draw t-SNE pictures.")] = True,
) -> None:
    """Train models under several penalties, prune and quantize them (Sharma et al., 2019); see docs/compress.md.

    Penalties and rates are selected on the validation set; the splits are those of the paper's Tables 2 and 9 for the
    data sets that they list. Writes compress.json, tables.md and the figures.
    """
    import jax
    import numpy as np

    from lcjax.cli.output import print_table, write_result
    from lcjax.cli.papers.compress_figures import draw_compressions
    from lcjax.data.sources import load_data
    from lcjax.models.losses import cross_entropy
    from lcjax.papers.sharma import split_sizes
    from lcjax.studies.compression.compress import compress as compress_network
    from lcjax.studies.compression.losses import Grid, settings_of
    from lcjax.studies.compression.nets import convolutional_subject, fully_connected_subjects
    from lcjax.studies.compression.recipes import FullyConnectedRecipe
    from lcjax.studies.compression.subsets import cut
    from lcjax.studies.compression.tables import result_table, verdict_table
    from lcjax.studies.compression.verdicts import verdicts
    from lcjax.studies.report import write_markdown
    from lcjax.studies.sweeps import prefix_stage
    from lcjax.training.execution.heuristics import check_memory

    convolutional = net is not NetName.mlp
    foreign = {"--epochs": epochs, "--choice-epochs": choice_epochs} if convolutional else {
        "--steps": steps, "--choice-steps": choice_steps
    }  # fmt: skip
    for option, value in foreign.items():
        if value is not None:
            usual = "--steps" if convolutional else "--epochs"
            raise ValueError(f"{option} {value:g} is not for --net {net.value}, which trains by {usual}.")
    grid = Grid(
        parse_list("--weight", weight, STRENGTH),
        parse_list("--preactivation", preactivation, STRENGTH),
        parse_list("--rates", rates, options.RATE),
    )
    depths = parse_list("--layers", layers, Range(int, 1, 1_000))
    names = tuple(losses.split(",")) if losses else ()
    for name in names:
        settings_of(name, grid)  # refuses an unknown loss before any data are read
    folder = job.open_folder(f"compress-{options.source_name(data)}")
    sizes = split_sizes(data)
    shares: options.Settings = {} if sizes is None else {
        "validation_fraction": sizes.validation_fraction(), "test_fraction": sizes.test_fraction()
    }  # fmt: skip
    task = load_data(data, seed=job.seed, regression=regression, **shares)
    job.print_notes(task.notes)
    options.require_classes("compress", task)
    if convolutional:
        lengths = {"steps": steps, "choice": choice_steps, "batch": batch}
        given = {name: value for name, value in lengths.items() if value is not None}
        subjects = {net.value: convolutional_subject(net.value, task, depth=depth, seed=job.seed, **given)}
    else:
        recipe = FullyConnectedRecipe(epochs or 500.0, choice_epochs, batch or 100)
        subjects = fully_connected_subjects(task, depths, width, recipe)
    if examples:
        subjects = {label: one._replace(data=cut(one.data, examples, seed=job.seed)) for label, one in subjects.items()}
    for one in subjects.values():
        inputs = jax.ShapeDtypeStruct((1, *one.data.train.inputs.shape[1:]), np.float32)
        shapes = jax.eval_shape(one.model.init, jax.random.key(0), inputs)
        check_memory(one.recipe.program(one.model, cross_entropy, choosing=True), shapes["params"], seeds)
    compressions, settings = [], options.Settings(grid=grid, seeds=seeds, pictures=pictures, folder=folder)
    with job.show_progress() as report:
        for label, subject in subjects.items():
            settings |= options.Settings(losses=names or subject.losses, recipe=subject.recipe)
            settings["on_progress"] = prefix_stage(report, label)
            compressions.append(compress_network(job.key, subject.data, subject.model, **settings))
    claims = verdicts(compressions)
    tables = [*(result_table(one) for one in compressions), verdict_table(claims)]
    first = next(iter(subjects.values()))
    parts = (first.data.train, first.data.validation, first.data.test)
    configuration = {
        "data": data, "splits": [len(part.targets) for part in parts if part], "net": net.value,
        "models": [one.model for one in subjects.values()], "losses": compressions[0].names,
        "grid": grid, "recipe": first.recipe, "seeds": seeds, "seed": job.seed,
    }  # fmt: skip
    write_markdown(folder / "tables.md", tables)
    files = [folder / "tables.md", *draw_compressions(compressions, list(subjects), folder)]
    result = write_result(
        folder / "compress.json",
        configuration,
        verdicts=[claim._asdict() for claim in claims],
        compressions=[jax.tree.map(_round, _without_details(one)) for one in compressions],
    )

    def show(console: "Console") -> None:
        for table in tables:
            print_table(console, table.title, table.columns, table.rows)

    job.finish(result, files, show, width=WIDTH)


def _without_details(compression: "Compression") -> "Compression":
    """Drop the data of the figures, and the layers at every threshold."""
    import numpy as np

    losses = tuple(
        dataclasses.replace(loss, pruning=dataclasses.replace(loss.pruning, threshold={}, layers={}, live={}))
        for loss in compression.losses
    )
    return dataclasses.replace(compression, losses=losses, weights={}, embedding={}, picture_classes=np.zeros(0, int))


def _round(leaf: "Array") -> "Array":
    """Round floating-point numbers to `DIGITS` significant digits."""
    import numpy as np

    values = np.asarray(leaf)
    if values.dtype.kind != "f":
        return values
    return np.array([f"{value:.{DIGITS}g}" for value in values.ravel()], float).reshape(values.shape)
