"""`lcjax plan`."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    import numpy as np
    from rich.console import Console

    from lcjax.curves.metrics import Metric
    from lcjax.planning.collection_plan import CollectionPlan

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
    given_reachable: Annotated[
        bool, options.result("Plan on the assumption that the target can be met within --limit.", "--given-reachable")
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
    left out. After each round, measure, and plan again. See docs/plan.md. Writes plan.json and a figure.
    """
    from lcjax.cli.output import save_plot, write_result
    from lcjax.curves.metrics import find_metric
    from lcjax.curves.readers.csv import read_curves
    from lcjax.planning.plan_collection import plan_collection
    from lcjax.plots.planning import plot_plan
    from lcjax.studies.fitting.fitted_curves import fit_learning_curves
    from lcjax.threads import import_ahead

    prices = parse_list("--cost", cost, Range(float, 0))
    limits = None if limit is None else parse_list("--limit", limit, POSITIVE)
    goal = read_target(target, target_error)
    if goal is None and budget is None:
        raise OptionError("Give --target, or --budget to divide among the curves of the file.")
    if goal is None and (risk is not None or penalty is not None or given_reachable):
        raise OptionError("--risk, --penalty and --given-reachable refer to a target: give --target.")
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
    best_plan = plan_collection(
        job.key,
        fitted.forecast,
        target=error,
        cost=prices[0] if len(prices) == 1 else list(prices),
        fixed_cost=fixed_cost,
        rounds=1 if goal is None else rounds,
        risk=risk,
        penalty=penalty,
        budget=budget,
        limit=None if limits is None else limits[0] if len(limits) == 1 else list(limits),
        given_reachable=given_reachable,
        unfairness=unfairness,
    )
    best_plan = dataclasses.replace(best_plan, names=tuple(map(printable, table.names)))
    settings = {
        "file": file.name, "metric": measure, "target": None if goal is None else goal.expression(measure),
        "cost": prices, "fixed_cost": fixed_cost, "rounds": rounds, "risk": risk, "penalty": penalty, "budget": budget,
        "limit": limits, "given_reachable": given_reachable, "unfairness": unfairness, "guess": guess, "draws": draws,
        "unit": unit, "allow_rising": allow_rising, "seed": job.seed,
    }  # fmt: skip
    files = save_plot(folder / "plan", lambda axes: plot_plan(best_plan, axes, unit=printable(unit)), (6.4, 4.2))
    notes = sorted({note for curve in fitted.notes for note in curve})
    result = write_result(folder / "plan.json", settings, plan=best_plan, notes=notes)

    def show(console: "Console") -> None:
        for note in table.notes:
            console.print(note, markup=False)
        _print(console, best_plan, measure, printable(unit))
        for note in notes:
            if note not in table.notes:
                console.print(note, markup=False)

    job.finish(result, files, show)


def _print(console: "Console", best_plan: "CollectionPlan", metric: "Metric", unit: str) -> None:
    """Print the rounds as a table, and the plan in a sentence."""
    from lcjax.cli.output import format_number, format_size, print_table

    several, divided = len(best_plan.names) > 1, best_plan.status == "divided"
    rows = []
    for t in range(best_plan.size.shape[1]):
        for i, name in enumerate(best_plan.names):
            shared = [format_size(best_plan.cost[t]), _percent(best_plan.reached[t])] if i == 0 else ["", ""]
            row = [f"{t + 1}" if i == 0 else "", *([name] if several else [])]
            row += [
                format_size(best_plan.size[i, t]),
                format_size(best_plan.added[i, t]),
                *shared[: 1 if divided else 2],
            ]
            rows.append(row + ([metric.format(metric.from_error(best_plan.error[i]))] if divided else []))
    columns = ["round", *(["curve"] if several else []), f"{unit}, up to", "added", "cost"]
    columns += [f"expected {metric.name}"] if divided else ["targets met" if several else "target met"]
    if rows:
        title = "Division of the budget" if divided else "Rounds, each made if a target is still missed"
        print_table(console, title, columns, rows)
    console.print(best_plan.sentence(unit), style="bold", highlight=False, markup=False)
    if best_plan.status == "planned":
        words = format_number(best_plan.expected_rounds, ".2g")
        plural = "" if words == "1" else "s"
        more = "" if best_plan.size.shape[1] == 1 else " After each round, measure, and plan the next one again."
        console.print(f"Expected: {words} round{plural}. {_LIMITS[best_plan.limited_by]}{more}", highlight=False)
    if best_plan.status == "unreachable" and best_plan.risk is not None and best_plan.limited_by != "budget":
        console.print(_advise(best_plan.reachable), highlight=False, markup=False)


_LIMITS = {
    "risk": "The risk sets the last size.",
    "penalty": "The penalty sets the last size.",
    "budget": "The budget sets the last size.",
    "limit": "The limit sets the last size.",
}


def _advise(reachable: float) -> str:
    """Return what to change if no plan keeps the risk, by the probability that all targets can be met."""
    least = math.ceil(100 * (1 - reachable)) / 100
    if least >= 1:
        return "Choose another --target: it can hardly be met."
    return (
        f"A plan exists for --risk {least:g} or more, for --penalty, the cost of missing the target, and for "
        "--given-reachable, on the assumption that the target can be met."
    )


def _percent(probability: "np.floating | float") -> str:
    return f"{100 * float(probability):.1f} %"
