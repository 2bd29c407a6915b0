"""`lcjax plan`."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcjax.cli import options
from lcjax.cli.command import Job, command
from lcjax.cli.curves.parts import note_rising, without_whole
from lcjax.cli.numbers import OptionError, Range, parse_list
from lcjax.cli.targets import (
    BestOption,
    MaximizeOption,
    MetricOption,
    TargetErrorOption,
    TargetOption,
    read_target,
    without_metric_note,
)
from lcjax.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.curves.forecast.forecast import Forecast
    from lcjax.curves.forecast.mixture import MixtureForecast
    from lcjax.curves.metrics import Metric
    from lcjax.planning.collection_plan import CollectionPlan
    from lcjax.planning.sources import SourceChoice

__all__ = ["plan"]

POSITIVE = Range(float, 0, open_low=True)
RISK = 0.1  # without --penalty and --budget


@command("Curves", "plan.json")
def plan(
    job: Job,
    file: Annotated[
        Path,
        typer.Argument(help="CSV or Parquet file with sizes and errors, such as measurements.csv of `lcjax collect`."),
    ],
    target: TargetOption = None,
    target_error: TargetErrorOption = None,
    cost: Annotated[
        str, options.result("Cost of an example, or a list with one for each curve of the file, separated by commas.")
    ] = "1",
    fixed_cost: Annotated[
        float, options.result("Cost of a round, for each curve that is collected in it.", numbers=Range(float, 0))
    ] = 0.0,
    rounds: Annotated[int, options.result("Largest number of rounds.", numbers=Range(int, 1, 5))] = 3,
    risk: Annotated[
        float | None,
        options.result(
            "Largest probability of missing the target in the end.",
            numbers=options.ERROR,
            show_default=f"{RISK}, without --penalty and --budget",
        ),
    ] = None,
    penalty: Annotated[
        float | None, options.result("Cost of missing the target in the end.", numbers=POSITIVE, show_default="none")
    ] = None,
    budget: Annotated[
        float | None, options.result("Largest total cost of all rounds.", numbers=POSITIVE, show_default="none")
    ] = None,
    limit: Annotated[
        str | None,
        options.result(
            "Largest number of examples that can be obtained, or a list with one for each curve.", show_default="none"
        ),
    ] = None,
    assume_reachable: Annotated[
        bool, options.result("Plan on the assumption that the target can be met within --limit.", "--assume-reachable")
    ] = False,
    sources: Annotated[
        bool,
        options.result(
            "The curves are sources of data for one error, such as experts and a crowd: choose the best one.",
            "--sources",
        ),
    ] = False,
    unfairness: Annotated[
        float,
        options.result(
            "Without a target: weight of the excess of a curve's error over the mean.", numbers=Range(float, 0)
        ),
    ] = 0.0,
    metric: MetricOption = None,
    best: BestOption = None,
    maximize: MaximizeOption = False,
    guess: Annotated[
        float | None,
        options.fit(
            "Error (or value of --metric) at chance, such as 0.9 for ten classes; bounds every forecast.",
            numbers=Range(float),
        ),
    ] = None,
    draws: Annotated[int, options.fit("Number of draws per curve.", numbers=Range(int, 1, 100_000))] = 512,
    unit: Annotated[str, options.fit("What a size counts, in the plural, such as tokens or hours.")] = "examples",
    size_column: options.SizeColumnOption = None,
    metric_column: options.MetricColumnOption = None,
    repeat_column: options.RepeatColumnOption = None,
    curve_column: options.CurveColumnOption = None,
    select: options.SelectOption = None,
    allow_rising: Annotated[bool, options.fit("Also use curves whose error rises.", "--allow-rising")] = False,
) -> None:
    """Plan how many examples to collect, now and in later rounds, so that a measured error meets a target.

    lcjax plan measurements.csv --target "error<=.05" --cost 0.1 --rounds 3 --risk 0.1

    The plan has the least expected cost, under the forecast of `lcjax fit`: with --risk the target is missed at most
    that often, --penalty is paid if it is missed, and --budget is never exceeded. Several curves of a file, such as
    classes, are several types of data; each has to meet the target. A curve of all classes or groups, named all, is
    left out. With --sources, the curves are those of one error with data from several sources, of which the best is
    chosen. After each round, measure, and plan again. See docs/plan.md. Writes plan.json, report.html and a figure.
    """
    from lcjax.cli.output import save_plot, write_result
    from lcjax.curves.metrics import find_metric
    from lcjax.curves.readers.csv import read_curves
    from lcjax.planning.plan_collection import plan_collection
    from lcjax.planning.sources import choose_source
    from lcjax.plots.planning import plot_plan
    from lcjax.reports.plan import plan_page
    from lcjax.studies.fitting.fitted_curves import fit_learning_curves
    from lcjax.threads import import_ahead

    prices = parse_list("--cost", cost, Range(float, 0))
    limits = None if limit is None else parse_list("--limit", limit, POSITIVE)
    goal = read_target(target, target_error)
    if goal is None and budget is None:
        raise OptionError("Give --target, or --budget to divide among the curves of the file.")
    if goal is None and (risk is not None or penalty is not None or assume_reachable):
        raise OptionError("--risk, --penalty and --assume-reachable refer to a target: give --target.")
    if goal is None and sources:
        raise OptionError(
            "--sources chooses one source for a --target. A --budget cannot be divided among them, because the error "
            "of a mix does not follow from the curves of each source: measure the curve of the mix as a further source."
        )
    if goal is not None and unfairness:
        raise OptionError("--unfairness divides a --budget without a target: leave out --target.")
    if risk is not None and penalty is not None:
        raise OptionError("Give --risk or --penalty, not both.")
    if goal is not None and risk is None and penalty is None and budget is None:
        risk = RISK
    asked = metric or (goal.metric if goal is not None and goal.metric != "error" else None)
    asked = "error" if asked is None and best is not None and metric_column is None else asked
    table = read_curves(
        str(file),
        None if asked is None else find_metric(asked, best, maximize=maximize),
        size_column=size_column,
        metric_column=metric_column,
        repeat_column=repeat_column,
        curve_column=curve_column or (),
        select=options.parse_selection(select),
    )
    table = without_metric_note(without_whole(table), goal)
    table, some_rise = note_rising(table)
    measure, count = table.metric, len(table.names)
    for option, values in (("--cost", prices), ("--limit", limits)):
        if values is not None and len(values) not in (1, count):
            raise OptionError(f"{option} needs one number, or one for each of the {count} curves, got {len(values)}.")
    if sources and count < 2:
        raise OptionError("--sources chooses among several curves, but the file has one: name them by --curve-column.")
    error = None if goal is None else goal.to_error(measure)
    chance = None if guess is None else float(measure.to_error(guess))
    if chance is not None and chance <= 0:
        raise OptionError(
            f"--guess must be worse than the best possible {measure.name}, {measure.best:g}, got {guess:g}."
        )
    folder = job.open_folder(f"plan-{'stdin' if str(file) == '-' else file.resolve().stem}")
    import_ahead("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg")
    rising = allow_rising or some_rise
    fitted = fit_learning_curves(job.key, table, guess=chance, target_error=error, draws=draws, allow_rising=rising)
    common: dict[str, Any] = {
        "target": error, "cost": prices[0] if len(prices) == 1 else list(prices), "fixed_cost": fixed_cost,
        "rounds": 1 if goal is None else rounds, "risk": risk, "penalty": penalty, "budget": budget,
        "limit": None if limits is None else limits[0] if len(limits) == 1 else list(limits),
        "assume_reachable": assume_reachable,
    }  # fmt: skip
    names, choice = tuple(map(printable, table.names)), None
    if sources:
        choice = choose_source(job.key, _separate(fitted.forecast, names), **common)
        best_plan = choice.plan
    else:
        best_plan = plan_collection(job.key, fitted.forecast, **common, unfairness=unfairness)
        best_plan = dataclasses.replace(best_plan, names=names)
    settings = {
        "file": file.name, "metric": measure, "target": None if goal is None else goal.expression(measure),
        "cost": prices, "fixed_cost": fixed_cost, "rounds": rounds, "risk": risk, "penalty": penalty, "budget": budget,
        "limit": limits, "assume_reachable": assume_reachable, "sources": sources, "unfairness": unfairness,
        "guess": guess, "draws": draws,
        "unit": unit, "allow_rising": allow_rising, "seed": job.seed,
    }  # fmt: skip
    files = [*save_plot(folder / "plan", lambda axes: plot_plan(best_plan, axes, unit=printable(unit)), (6.4, 4.2))]
    notes = sorted({note for curve in fitted.notes for note in curve})
    page = plan_page(
        best_plan, fitted, printable(unit), title=f"Plan for {file.name}", notes=[*table.notes, *notes], choice=choice
    )
    files.append(job.write_report(folder, page))
    result = write_result(folder / "plan.json", settings, plan=best_plan, sources=choice, notes=notes)

    def show(console: "Console") -> None:
        for note in table.notes:
            console.print(note, markup=False)
        _print(console, best_plan, choice, measure, printable(unit))
        for note in notes:
            if note not in table.notes:
                console.print(note, markup=False)

    job.finish(result, files, show)


def _separate(forecasts: "Forecast | MixtureForecast", names: Sequence[str]) -> dict[str, "Forecast | MixtureForecast"]:
    """Return the forecast of each curve of a batch by its name."""
    import jax

    return {name: jax.tree.map(lambda leaf: leaf[i : i + 1], forecasts) for i, name in enumerate(names)}  # noqa: B023


def _print(
    console: "Console", best_plan: "CollectionPlan", choice: "SourceChoice | None", metric: "Metric", unit: str
) -> None:
    """Print the sources and the rounds as tables, and the plan in a sentence."""
    from lcjax.cli.output import print_table
    from lcjax.reports.plan import schedule_table, sources_table

    tables = [] if choice is None else [sources_table(choice, unit)]
    for title, columns, rows in [*tables, schedule_table(best_plan, unit, metric)]:
        if rows:
            print_table(console, title, columns, [list(map(printable, row)) for row in rows])
    text = best_plan.sentence(unit) if choice is None else choice.sentence(unit)
    console.print(text, style="bold", highlight=False, markup=False)
    if best_plan.status == "planned":
        console.print(" ".join(best_plan.remarks()), highlight=False, markup=False)
    if best_plan.status == "unreachable" and best_plan.risk is not None and best_plan.limited_by != "budget":
        console.print(_advise(best_plan.reachable), highlight=False, markup=False)


def _advise(reachable: float) -> str:
    """Return what to change if no plan keeps the risk, by the probability that all targets can be met."""
    least = math.ceil(100 * (1 - reachable)) / 100
    if least >= 1:
        return "Choose another --target: it can hardly be met."
    return (
        f"A plan exists for --risk {least:g} or more, for --penalty, the cost of missing the target, and for "
        "--assume-reachable, on the assumption that the target can be met."
    )
