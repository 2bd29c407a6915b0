"""Report of a plan of data collection: its rounds, its cost and its chance, with other plans beside it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from lcjax.csv_files import csv_text
from lcjax.curves.metrics import Metric
from lcjax.formats import format_cost, format_probability, format_size
from lcjax.planning.collection_plan import REQUIRED_LEVELS, CollectionPlan
from lcjax.planning.sources import SourceChoice
from lcjax.plots.planning import end_of_axis
from lcjax.reports.chart import Chart, Series
from lcjax.reports.forecasts import OVERLAID, forecast_cautions, forecast_chart, overlay_chart
from lcjax.reports.page import Attachment, Page
from lcjax.studies.fitting.fitted_curves import FittedCurves
from lcjax.studies.report import Table

__all__ = ["plan_page", "schedule_table", "sources_table"]

_LEAST = 0.001  # smallest probability that tables tell from 0
_PROBABILITY = Metric("probability", "maximize", (0.0, 1.0))
_COST = Metric("expected cost")


def plan_page(
    plan: CollectionPlan,
    fitted: FittedCurves,
    unit: str,
    *,
    title: str,
    notes: Sequence[str] = (),
    choice: SourceChoice | None = None,
) -> Page:
    """Return the report of a plan.

    Args:
        plan: the plan.
        fitted: the forecasts by which it was made.
        unit: what a size counts, in the plural.
        title: title of the page.
        notes: what was inferred about the data, and other reasons for caution, one sentence each.
        choice: the choice of the source that the plan collects, or None.

    Examples:
        >>> import jax, lcjax as lc
        >>> from lcjax.curves.metrics import ERROR
        >>> size = 100.0 * 2.0 ** np.arange(5)
        >>> curve = lc.LearningCurve(size[None], 3 * size[None] ** -0.5)
        >>> table = lc.curves.CurveTable(curve, np.ones((1, 5), bool), 0, ("",), ("",), ERROR)
        >>> fitted = lc.studies.fit_learning_curves(jax.random.key(0), table, target_error=0.05)
        >>> plan = lc.plan_collection(jax.random.key(0), fitted.forecast, target=0.05, risk=0.1)
        >>> page = plan_page(plan, fitted, "examples", title="Plan")
        >>> [chart.title for chart in page.charts]
        ['Chance of meeting the target', 'Expected cost by the last size', 'Forecast of the error']
    """
    metric = fitted.table.metric
    answer = plan.sentence(unit) if choice is None else choice.sentence(unit)
    row = 0 if choice is None else choice.best
    alone = len(plan.names) == 1 or choice is not None
    curves = forecast_chart(fitted, row, unit) if alone else overlay_chart(fitted, unit, title="Forecasts")
    if plan.status == "divided":
        curves = curves._replace(series=[*curves.series, *_mark_errors(plan, metric)])
    charts = [*_chance(plan, unit), *_costs(plan, unit), curves]
    tables = [] if choice is None else [sources_table(choice, unit)]
    tables += [table for table in (schedule_table(plan, unit, metric), _alternatives(plan, metric, unit)) if table.rows]
    caveats = [*forecast_cautions(fitted, notes), *_caveats(plan, choice)]
    attachment = Attachment("plan.csv", csv_text(_columns(plan)))
    return Page(title, answer, plan.remarks(), charts, caveats, tables, attachment)


def schedule_table(plan: CollectionPlan, unit: str, metric: Metric) -> Table:
    """Return the rounds of a plan, or the division of its budget, a row for each round and type of data.

    Args:
        plan: the plan.
        unit: what a size counts, in the plural.
        metric: metric of the curves.

    Examples:
        >>> from lcjax.curves.metrics import ERROR
        >>> from lcjax.planning.data_types import DataTypes, plan_types
        >>> from lcjax.planning.selection import Criterion
        >>> known, one = np.array([[200.0, 220.0, 400.0, np.inf]]), np.ones(1)
        >>> types = DataTypes(("",), 0.1 * one, 100.0 * one, np.zeros(1, bool), known, one, 0.0, np.inf * one)
        >>> schedule_table(plan_types(types, 2, Criterion(risk=0.25), False), "examples", ERROR).rows
        [['1', '220', '120', '120', '50.0 %'], ['2', '400', '180', '180', '75.0 %']]
    """
    several, divided = len(plan.names) > 1, plan.status == "divided"
    rows = []
    for t in range(plan.size.shape[1]):
        for i, name in enumerate(plan.names):
            shared = [format_cost(plan.cost[t]), format_probability(plan.reached[t], _LEAST)] if i == 0 else ["", ""]
            row = [f"{t + 1}" if i == 0 else "", *([name] if several else [])]
            row += [format_size(plan.size[i, t]), format_size(plan.added[i, t]), *shared[: 1 if divided else 2]]
            rows.append(row + ([metric.format(metric.from_error(plan.error[i]))] if divided else []))
    columns = ["round", *(["curve"] if several else []), f"{unit} in all", "added", "cost"]
    columns += [f"expected {metric.name}"] if divided else ["targets met" if several else "target met"]
    title = "Division of the budget" if divided else "Rounds, each made if a target is still missed"
    return Table(title, columns, rows)


def sources_table(choice: SourceChoice, unit: str) -> Table:
    """Return the plans of all sources, a row for each.

    Args:
        choice: the choice.
        unit: what a size counts, in the plural.
    """
    rows = []
    for name, plan, likely in zip(choice.names, choice.plans, choice.cheapest, strict=True):
        last = format_size(plan.size[0, -1]) if plan.size.shape[1] else "–"
        cost, missed = format_cost(plan.expected_cost), format_probability(plan.missing, _LEAST)
        row = [name, plan.status, last, *((cost, missed) if last != "–" or plan.status == "met" else ("–", "–"))]
        rows.append([*row, format_probability(likely)])
    columns = ["source", "plan", f"{unit} in all", "expected cost", "target missed", "cheapest"]
    return Table("Sources, each collected alone", columns, rows)


def _alternatives(plan: CollectionPlan, metric: Metric, unit: str) -> Table:
    """Return the plan and others, a row for each."""
    others = plan.alternatives
    if others is None or not others.names or not plan.size.shape[1]:
        return Table("", (), ())
    if others.error is not None:
        return _divisions(plan, others.error, metric, unit)
    columns = ["plan", f"{unit} in all", "rounds", "expected cost", "largest cost", "target missed"]
    made = plan.size.shape[1], plan.expected_cost, plan.largest_cost, plan.missing
    numbers = zip(others.rounds, others.expected_cost, others.largest_cost, others.missing, strict=True)
    rows = [
        [
            name,
            _list_sizes(size),
            f"{rounds}",
            format_cost(cost),
            format_cost(most),
            format_probability(missing, _LEAST),
        ]
        for name, size, (rounds, cost, most, missing) in zip(
            ["this plan", *others.names], [plan.size[:, -1], *others.size], [made, *numbers], strict=True
        )
    ]
    return Table(_title("Comparison with other plans", plan), columns, rows)


def _divisions(plan: CollectionPlan, error: Float[np.ndarray, "a b"], metric: Metric, unit: str) -> Table:
    """Return the division of a budget and others, a row for each."""
    assert plan.alternatives is not None
    rows = []
    for name, size, one in zip(
        ["this plan", *plan.alternatives.names],
        [plan.size[:, -1], *plan.alternatives.size],
        [plan.error, *error],
        strict=True,
    ):
        values = [metric.format(metric.from_error(value)) for value in one[:OVERLAID]]
        rows.append([name, _list_sizes(size), ", ".join(values), metric.format(metric.from_error(float(np.mean(one))))])
    columns = ["division", f"{unit} in all", f"expected {metric.name}", f"mean {metric.name}"]
    return Table(_title("Comparison with other divisions", plan), columns, rows)


def _title(text: str, plan: CollectionPlan) -> str:
    return f"{text}, sizes in the order of the curves" if len(plan.names) > 1 else text


def _list_sizes(size: Float[np.ndarray, " b"]) -> str:
    return ", ".join(map(format_size, size[:OVERLAID])) + (", …" if len(size) > OVERLAID else "")


def _chance(plan: CollectionPlan, unit: str) -> list[Chart]:
    """Return the probability that the measured error meets the target at each size."""
    if plan.required_quantiles is None:
        return []
    end, series = end_of_axis(plan), list[Series]()
    several = len(plan.names) > 1
    for i, name in enumerate(plan.names[:OVERLAID]):
        quantiles, start = plan.required_quantiles[i], plan.start[i]
        inside = quantiles <= end
        levels = REQUIRED_LEVELS[inside]
        size = np.concatenate([[start], quantiles[inside], [end]])
        chance = np.concatenate([[0.0], levels, [max(levels, default=0.0)]])
        if np.all(quantiles <= start):
            chance[:] = 1.0  # met already
        label, role = (name, f"method-{i}") if several else ("probability", "forecast")
        series.append(Series(label, "line", role, size, chance))
        made = np.unique(plan.size[i][plan.size[i] > start])
        height = np.interp(np.log(made), np.log(size), chance)
        series.append(
            Series(label if several else "rounds", "points", role if several else "answer-point", made, height)
        )
    rounds = [", ".join(format_size(one) for one in np.unique(row)) for row in plan.size]
    description = (
        f"Probability that the measured error meets the target, against training {unit}. Rounds end at "
        f"{'; '.join(rounds) or 'no size'}."
    )
    return [Chart("Chance of meeting the target", description, _PROBABILITY, unit, series, (0.0, 1.0))]


def _costs(plan: CollectionPlan, unit: str) -> list[Chart]:
    """Return the expected cost of plans by their last size."""
    curves = plan.cost_curves
    if curves is None or plan.status == "met":
        return []
    end, series, highest = end_of_axis(plan), list[Series](), 0.0
    for i, name in enumerate(plan.names[:OVERLAID]):
        inside = curves.size[i] <= end
        if len(plan.names) > 1:
            lines = [(name, curves.expected_cost[i, -1])]
        else:
            lines = [(_rounds(t + 1), one) for t, one in enumerate(curves.expected_cost[i])]
        for label, cost in lines:
            role = f"method-{len(series) % OVERLAID}"
            series.append(Series(label, "line", role, curves.size[i][inside], cost[inside]))
            highest = max(highest, float(np.max(cost[inside], initial=0.0)))
    description = f"Least expected cost of the plans that end at a size, against training {unit}."
    title = "Expected cost by the last size"
    if len(plan.names) > 1:
        title += ", each curve alone"
    else:
        series += _marks(plan)
        description += f" That of the plan is {format_cost(plan.expected_cost)}."
        highest = max([highest, *(float(np.max(one.value, initial=0.0)) for one in series[-2:])])
    return [Chart(title, description, _COST, unit, series, (0.0, max(highest, 1e-9)))] if series else []


def _marks(plan: CollectionPlan) -> list[Series]:
    """Return the plan and the other ones as points."""
    marks, others = [], plan.alternatives
    if others is not None and len(others.names):
        marks.append(Series("other plans", "points", "held-out", others.size[:, 0], others.expected_cost))
    if plan.size.shape[1]:
        cost = np.array([plan.expected_cost])
        marks.append(Series("the plan", "points", "answer-point", plan.size[0, -1:], cost))
    return marks


def _mark_errors(plan: CollectionPlan, metric: Metric) -> list[Series]:
    """Return the expected errors after the division of a budget."""
    return [Series("after the division", "points", "answer-point", plan.size[:, -1], metric.from_error(plan.error))]


def _caveats(plan: CollectionPlan, choice: SourceChoice | None) -> list[str]:
    caveats = []
    if len(plan.names) > 1:
        caveats.append("The forecasts of different types of data count as independent.")
    if choice is not None:
        caveats.append("The forecasts of different sources count as independent.")
        caveats.append(
            "Each curve is that of a model trained on one source alone. Mixes are not planned: their error cannot be "
            "computed from these curves. Measure the curve of a mix and add it as one more source."
        )
    if plan.size.shape[1] > 1:
        caveats.append("Only the first round is final: the later ones will change with the errors measured after it.")
    if plan.required_quantiles is not None:
        caveats.append(
            "The target is compared with the mean error of the trainings of one round on the test set at hand."
        )
    return caveats


def _columns(plan: CollectionPlan) -> dict[str, list[object]]:
    """Return the rounds as columns, a row for each round and type of data."""
    b, t = plan.size.shape
    return {
        "curve": [name for name in plan.names for _ in range(t)],
        "round": list(range(1, t + 1)) * b,
        "size": plan.size.ravel().tolist(),
        "added": plan.added.ravel().tolist(),
        "cost_of_round": np.tile(plan.cost, b).tolist(),
        "probability_met": np.tile(plan.reached, b).tolist(),
    }


def _rounds(count: int) -> str:
    return "1 round" if count == 1 else f"at most {count} rounds"
