"""Plan of data collection from the forecasts of learning curves."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import jax
import numpy as np
from jaxtyping import Float

from lcjax.curves.answer.joint_draws import JointDraws
from lcjax.curves.answer.plausibility import check_target
from lcjax.curves.forecast.forecast import Forecast, forecast
from lcjax.curves.forecast.mixture import MixtureForecast
from lcjax.curves.metrics import ERROR, Metric
from lcjax.curves.readers.holders import CurveSource, common_metric, curve_of
from lcjax.curves.targets import parse_target
from lcjax.planning.alternatives import Alternatives
from lcjax.planning.collection_plan import CollectionPlan
from lcjax.planning.data_types import DataTypes, plan_types
from lcjax.planning.requirement import requirement_draws
from lcjax.planning.selection import Criterion
from lcjax.planning.slices import divide_budget, even_divisions, expected_losses
from lcjax.typing import KeyArray, check_key

__all__ = ["RISK", "ROUNDS", "plan_collection"]

RISK = 0.1
"""Largest probability of missing a target, unless a risk, a penalty or a budget is given."""

ROUNDS = 5
"""Largest number of rounds of a plan."""

Curves: TypeAlias = CurveSource | JointDraws


def plan_collection(
    key: KeyArray,
    curves: Curves | Mapping[str, Curves],
    *,
    target: float | str | Sequence[float] | Float[np.ndarray, " b"] | None = None,
    cost: float | Sequence[float] | Float[np.ndarray, " b"] = 1.0,
    fixed_cost: float = 0.0,
    rounds: int = 1,
    risk: float | None = None,
    penalty: float | None = None,
    budget: float | None = None,
    limit: float | Sequence[float] | Float[np.ndarray, " b"] | None = None,
    assume_reachable: bool = False,
    repeats: float = 1.0,
    unfairness: float = 0.0,
    draws: int = 512,
) -> CollectionPlan:
    r"""Plan how many examples to collect, now and in later rounds, at the least expected cost.

    After each round a model is trained on all examples and measured; if it meets the target, the collection ends. The
    sizes q_1 < ... < q_T minimize (Mahmood et al., 2022)

        sum_t (fixed_cost + cost (q_t - q_{t-1})) P(target missed at q_{t-1}) + penalty P(target missed at q_T)

    or, with a risk in place of the penalty, the first sum under `P(target missed at q_T) <= risk`. The probabilities
    are those of the whole forecast: its joint draws of the curve, each with the noise of a measurement. For these draws
    the minimum over all sizes and numbers of rounds is exact (`lcjax.planning.schedule`). Only the first round is
    final: forecast the curve again with what it has measured, and plan the rounds that remain.

    Several types of data, such as classes, each have a curve, a cost and a target. All targets are to be met; a type
    that meets its own is not collected further. Their forecasts count as independent.

    Without a target, a budget is divided so that the sum of the expected errors is least, plus `unfairness` times the
    sum of their excesses over the mean error at hand (Tae and Whang, 2021).

    Args:
        key: typed key for the forecasts of curves.
        curves: a curve or a forecast, of one type of data or a batch of b types; or one of each type by name. The
            measurements of `lcjax.collect` or a table of `lcjax.read_curves` may take the place of a curve. The largest
            measured size is the number of examples at hand.
        target: error that a measurement has to meet, one for all types or `(b,)`; or a text such as "auroc>=0.92", a
            value of the metric of the measurements or the table.
        cost: cost of one example, one for all types or `(b,)`.
        fixed_cost: cost of a round, for each type that is collected in it.
        rounds: largest number of rounds, from 1 to 5.
        risk: largest probability of missing a target in the end, in (0, 1); without risk, penalty and budget, 0.1.
        penalty: cost of missing a target in the end, positive.
        budget: largest cost of all rounds together. Without risk and penalty, the chance of meeting the targets is the
            largest that it buys, at the least expected cost.
        limit: largest number of examples that can be obtained, one for all types or `(b,)`.
        assume_reachable: True to assume that the targets can be met (within `limit`), so that missing one that cannot
            be met costs nothing and is no risk.
        repeats: number of trainings whose mean error is compared with the target; inf for the curve itself.
        unfairness: weight of the unfairness, for a budget without a target.
        draws: number of joint draws of each curve that is forecast here.

    Returns:
        `CollectionPlan` for b types, in double precision.

    Raises:
        ValueError: a target has another unit than the errors, or looks like a value of the metric, an argument is
            outside its range, risk and penalty are both given, a name occurs with a batch of curves, or an object is
            neither a curve nor a forecast.

    Examples:
        >>> import jax, lcjax as lc
        >>> size = 100.0 * 2.0 ** np.arange(6)
        >>> curve = lc.LearningCurve(size, 2.0 * size**-0.5)
        >>> plan = plan_collection(jax.random.key(0), curve, target=0.03, cost=0.1, risk=0.1, rounds=2)
        >>> plan.size.shape, bool(4000 < plan.size[0, 0] < plan.size[0, 1] < 8000), plan.missing <= 0.1
        ((1, 2), True, True)
        >>> plan_collection(jax.random.key(0), curve, target=3.0, risk=0.1)
        Traceback (most recent call last):
        ValueError: The target 3 is above 1, but all errors are fractions (at most 0.2): did you mean 0.03?
    """
    check_key(key)
    criterion = _check_criterion(target, risk, penalty, budget, unfairness, rounds)
    for name, value in (("fixed_cost", fixed_cost), ("unfairness", unfairness)):
        if not 0 <= value < np.inf:
            raise ValueError(f"{name} must be 0 or positive, got {value}.")
    if not repeats > 0:
        raise ValueError(f"repeats must be positive, got {repeats}.")
    names, forecasts = _forecast(key, curves, draws)
    start = np.concatenate([np.ravel(np.asarray(ahead._range()[1], float)) for ahead in forecasts])
    count = len(start)
    costs = _spread("cost", cost, count)
    limits = _spread("limit", np.inf if limit is None else limit, count)
    for name, values, least in (("cost", costs, np.zeros(count)), ("limit", limits, start)):
        if wrong := [(v, w) for v, w in zip(values, least, strict=True) if not v >= w]:
            bound = "0 or positive" if name == "cost" else f"at least the {wrong[0][1]:,g} examples at hand"
            raise ValueError(f"{name} must be {bound}, got {wrong[0][0]:g}.")
    if np.any(np.isinf(costs)):
        raise ValueError("cost must be finite, got inf.")
    whole = all(_is_whole(ahead) for ahead in forecasts)
    if target is None:
        assert budget is not None
        return _divide(names, forecasts, start, costs, limits, budget, unfairness, whole)
    metric = common_metric(curves if isinstance(curves, Mapping) else {"": curves}) or ERROR
    wanted = parse_target(target).to_error(metric) if isinstance(target, str) else target
    targets = _spread("target", wanted, count)
    errors = [row for ahead in forecasts for row in _rows(ahead.measured.error)]
    sizes = [row for ahead in forecasts for row in _rows(ahead.measured.size)]
    met = np.zeros(count, bool)
    for i, (size, error) in enumerate(zip(sizes, errors, strict=True)):
        list(check_target(error, float(targets[i]), ERROR))
        met[i] = np.any((size >= start[i] * (1 - 1e-6)) & (error <= targets[i]))
        if not isinstance(target, str):
            _check_value(float(targets[i]), error, metric)
    required, done = [], 0
    for ahead in forecasts:
        batch = np.shape(ahead.measured.error)[:-1]
        part = slice(done, done := done + int(np.prod(batch, dtype=int)))
        own = requirement_draws(
            ahead, targets[part].reshape(batch), start[part].reshape(batch), repeats=repeats, whole=whole
        )
        required += list(own.reshape(-1, own.shape[-1]))
    sizes_needed = np.where(met[:, None], start[:, None], np.stack(required))
    types = DataTypes(names, targets, start, met, sizes_needed, costs, fixed_cost, limits)
    return plan_types(types, rounds, criterion, assume_reachable)


def _check_value(target: float, error: Float[np.ndarray, " s"], metric: Metric) -> None:
    """Raise ValueError if a target that every measured error meets is a likely value of a rising metric."""
    asked = float(metric.to_error(target)) if metric.rises else np.nan
    if np.all(np.isnan(error) | (error <= target)) and 0 < asked < np.nanmin(error):
        raise ValueError(
            f"The target {target:g} is an error, {metric.error_name}, which all measured errors meet. For a value "
            f'of the metric, pass target="{metric.name}>={target:g}".'
        )


def _divide(
    names: tuple[str, ...],
    forecasts: Sequence[JointDraws],
    start: Float[np.ndarray, " b"],
    costs: Float[np.ndarray, " b"],
    limits: Float[np.ndarray, " b"],
    budget: float,
    unfairness: float,
    whole: bool,
) -> CollectionPlan:
    """Divide a budget so that the sum of the losses is least."""
    curves = [ahead for ahead in forecasts if isinstance(ahead, Forecast | MixtureForecast)]
    if len(curves) < len(forecasts):
        raise ValueError("Without a target, pass curves, or forecasts by lcjax.forecast or a mixture of forms.")
    if np.any((costs == 0) & np.isinf(limits)):
        raise ValueError("A type of cost 0 needs a limit: pass the largest number of examples to obtain.")
    affordable = start + budget / np.where(costs > 0, costs, 1.0)
    most = np.minimum(np.where(costs > 0, affordable, np.inf), limits)
    size, loss, error = expected_losses(curves, start, most, unfairness)
    last = divide_budget(size, loss, costs, budget)
    divisions = {"": last, **even_divisions(start, costs, budget, limits)}
    rows = np.stack([np.maximum(np.floor(row + 1e-6), start) if whole else row for row in divisions.values()])
    errors = np.array([
        [np.interp(np.log(x), np.log(sizes), e) for x, sizes, e in zip(row, size, error, strict=True)] for row in rows
    ])  # fmt: skip
    spent = np.sum(costs * (rows - start), axis=1)
    unknown = np.full(len(start), np.nan)
    others = Alternatives(
        tuple(divisions)[1:], rows[1:], np.ones(len(rows) - 1, int), spent[1:], spent[1:],
        np.full(len(rows) - 1, np.nan), errors[1:],
    )  # fmt: skip
    return CollectionPlan(
        names, "divided", "budget" if spent[0] > 0 else "", unknown, start, rows[0][:, None], np.array([np.nan]),
        spent[:1], float(spent[0]), np.nan, 1.0, np.nan, False, None, None, errors[0], alternatives=others,
    )  # fmt: skip


def _check_criterion(
    target: object, risk: float | None, penalty: float | None, budget: float | None, unfairness: float, rounds: int
) -> Criterion:
    if not 1 <= rounds <= ROUNDS:
        raise ValueError(f"rounds must be from 1 to {ROUNDS}, got {rounds}.")
    if risk is not None and penalty is not None:
        raise ValueError(f"Pass either risk or penalty, not both, got risk={risk} and penalty={penalty}.")
    if risk is not None and not 0 < risk < 1:
        raise ValueError(f"risk is a probability between 0 and 1, got {risk}.")
    for name, value in (("penalty", penalty), ("budget", budget)):
        if value is not None and not 0 < value < np.inf:
            raise ValueError(f"{name} must be positive and finite, got {value}.")
    if target is None:
        if budget is None or risk is not None or penalty is not None or rounds > 1:
            raise ValueError("Without a target, pass a budget, and neither risk, penalty nor more than one round.")
    elif unfairness:
        raise ValueError("unfairness applies to a budget without a target; with targets, give each type its own.")
    elif risk is None and penalty is None and budget is None:
        risk = RISK
    return Criterion(penalty, risk, np.inf if budget is None else budget)


def _forecast(
    key: KeyArray, curves: Curves | Mapping[str, Curves], draws: int
) -> tuple[tuple[str, ...], list[JointDraws]]:
    """Return the names of all types, and their forecasts."""
    if isinstance(curves, Mapping):
        if not curves:
            raise ValueError("curves has no type of data: pass a curve, a forecast, or one of each type by name.")
        forecasts: list[JointDraws] = []
        for i, (name, each) in enumerate(curves.items()):
            ahead = _forecast_one(jax.random.fold_in(key, i), each, draws, str(name))
            forecasts.append(ahead)
        return tuple(map(str, curves)), forecasts
    ahead = _forecast_one(key, curves, draws)
    batch = np.shape(ahead.measured.error)[:-1]
    if len(batch) > 1:
        raise ValueError(f"A batch of types needs shape (b, s), got {np.shape(ahead.measured.error)}.")
    names = () if isinstance(curves, JointDraws) else curve_of(curves)[1]
    if len(names) > 1 or any(names):
        return names, [ahead]
    return tuple(f"type {i + 1}" for i in range(batch[0])) if batch and batch[0] > 1 else ("",), [ahead]


def _forecast_one(key: KeyArray, each: Curves, draws: int, name: str | None = None) -> JointDraws:
    """Return the forecast of a curve, which is a single one if it has a name."""
    curve = each.measured if isinstance(each, JointDraws) else curve_of(each)[0]
    if name is not None and np.prod(np.shape(curve.error)[:-1], dtype=int) != 1:
        raise ValueError(f"The type {name!r} has a batch of curves; pass one curve by name, or the batch alone.")
    return each if isinstance(each, JointDraws) else forecast(key, curve, draws=draws)


def _is_whole(ahead: JointDraws) -> bool:
    """Return True if all measured sizes are whole numbers, as those of examples are."""
    size = np.asarray(ahead.measured.size, float)
    return bool(np.all(np.isnan(size) | (size % 1 == 0)))


def _rows(values: object) -> list[Float[np.ndarray, "..."]]:
    array = np.asarray(values, float)
    return list(array.reshape(-1, array.shape[-1]))


def _spread(name: str, value: float | Sequence[float] | Float[np.ndarray, " b"], count: int) -> np.ndarray:
    values = np.asarray(value, float)
    if values.shape not in ((), (count,)):
        raise ValueError(f"{name} must be one number or one for each of {count} types, got shape {values.shape}.")
    return np.broadcast_to(values, (count,)).astype(float)
