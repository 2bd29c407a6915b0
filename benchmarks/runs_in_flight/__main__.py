"""Forecasts of runs in flight, compared on the recorded runs of `benchmarks.runs_in_flight_data`.

    python -m benchmarks.runs_in_flight docs/results/runs-in-flight/runs.csv OUTPUT --half held_out

Each sweep (the runs of a task with one number of training examples) is replayed in its random order, for errors and for
losses. Every run is cut at 1/8, 1/4 and 1/2 of its steps, with all earlier runs of the sweep finished. A method
forecasts the last record of the run, a single measurement, and the probability that it is below the lowest last record
of the earlier runs. Log errors and CRPS are in units of the logarithm of the value and count as at most 3, because a
few runs explode (losses up to 1e24).

- `ours`: `lcjax.curves.forecast.runs.forecast_runs` with the earlier runs of the sweep;
- `ours, run alone`: the same without the earlier runs;
- `last value`: the last record before the cut, with the interval of a random walk in log steps;
- `power law`: the power law with an offset (M2), with bootstrap draws;
- for the probability only: `last value, yes or no`, 1 if the last record before the cut is below the best, else 0;
  `logistic`, a logistic regression on the log ratio of last record and best, for each cut, and on the log number of
  earlier runs, fitted to the development half; `1 / (n + 1)`, the probability that a run is the best of n + 1 in random
  order.

Differences have 95 % bootstrap intervals over runs, and the frequencies of the reliability table have 95 % intervals of
Clopper and Pearson. Stopping rules are evaluated at each cut; a stopped run is not among the finished ones. Their
results, and the Brier scores and reliability of "random orders", are averages over random orders of each sweep. All
constants of `ours` and `logistic` come from the development half.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats
from jaxtyping import Bool, Float, Int

from benchmarks.forecast import FormFit, LastValue, Method, clustered_mean
from benchmarks.forecast.report import round_numbers
from benchmarks.forecast.rules import crps_of_draws
from benchmarks.runs_in_flight.replay import CURVES, CUTS, Replay, Rule, read_replays, replay_rule
from benchmarks.runs_in_flight.report import Example, draw_figure, format_tables
from lcjax.curves.forecast.runs import RunForecast, forecast_runs
from lcjax.curves.forms import power_law_offset
from lcjax.curves.learning_curve import LearningCurve
from lcjax.files import atomic_path, write_json
from lcjax.provenance import environment

LEVELS = (0.5, 0.8, 0.9)
HIGHEST = 3.0  # largest log error and CRPS of a run
EDGES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
STOP, ORDERS = 0.05, 20
RULE = ("saved", "regret", "missed")
DRAWS = (np.arange(512) + 0.5) / 512
KEY = jax.random.key(0)


# Forecasts: k equally likely values of the last record of each run, `(r, k)`, in ascending order


def draw_ours(replay: Replay, alone: RunForecast) -> dict[str, Float[np.ndarray, "r k"]]:
    """Return the forecasts with and without the earlier runs."""
    finished = np.stack([replay.finished(rows) for rows in replay.earlier])
    return {"ours": np.asarray(alone.with_finished(finished).draws), "ours, run alone": np.asarray(alone.draws)}


def forecast_simply(replay: Replay) -> dict[str, Float[np.ndarray, "r k"]]:
    """Forecast with the last value and with a power law with an offset."""
    methods: dict[str, Method] = {"last value": LastValue(), "power law": FormFit("M2", power_law_offset)}
    count = replay.count
    curves = LearningCurve(replay.step[:, :count], replay.value[:, :count])
    draws = {}
    for name, method in methods.items():
        quantile = method.fit(KEY, curves).log_quantile(replay.steps[:, None], DRAWS)[:, 0]
        draws[name] = np.exp(np.clip(quantile, -80, 80))
    return draws


# Probabilities


def fit_logistic(replays: Sequence[Replay]) -> Float[np.ndarray, " p"]:
    """Fit the logistic regression to the runs that have a value to beat, and return its weights."""
    features, below = [], []
    for replay in replays:
        known = ~np.isnan(replay.best)
        features.append(_features(replay, replay.best, replay.earlier.sum(axis=1))[known])
        below.append((replay.final < replay.best)[known])
    x, sign = np.concatenate(features), np.where(np.concatenate(below), 1.0, -1.0)

    def loss(weight: Float[np.ndarray, " p"]) -> float:
        return float(np.mean(np.logaddexp(0.0, -sign * (x @ weight))) + 1e-4 * np.sum(weight**2))

    return np.asarray(scipy.optimize.minimize(loss, np.zeros(x.shape[1]), method="BFGS").x)


def _features(replay: Replay, best: Float[np.ndarray, " r"], count: Int[np.ndarray, " r"]) -> np.ndarray:
    """Return a constant and the log ratio of last record and best for each cut, and the log number of earlier runs."""
    ratio = np.log(replay.cut_last / np.where(np.isnan(best), 1.0, best))
    columns = [part * (replay.divisor == d) for d in CUTS for part in (np.ones(len(ratio)), ratio)]
    return np.stack([*columns, np.log(np.maximum(count, 1))], axis=1)


def probabilities(
    replay: Replay, draws: dict[str, np.ndarray], logistic: Float[np.ndarray, " p"]
) -> dict[str, Float[np.ndarray, " r"]]:
    """Return the probability that each run ends below the best, by method; nan for the first run of a sweep."""
    count, last = replay.earlier.sum(axis=1), replay.cut_last
    result = {name: np.mean(values < replay.best[:, None], axis=1) for name, values in draws.items()}
    result["last value, yes or no"] = (last < replay.best).astype(float)
    result["logistic"] = scipy.special.expit(_features(replay, replay.best, count) @ logistic)
    result["1 / (n + 1)"] = 1 / (count + 1)
    return {name: np.where(np.isnan(replay.best), np.nan, p) for name, p in result.items()}


# Scores


def score_values(replay: Replay, draws: Float[np.ndarray, "r k"]) -> dict[str, Float[np.ndarray, " r"]]:
    """Return the absolute log error of the median, the CRPS, and 1 for each interval that contains the last record."""
    log_draws, log_final = np.log(np.maximum(draws, 1e-30)), np.log(np.maximum(replay.final, 1e-9))
    error = np.abs(np.median(log_draws, axis=1) - log_final)
    crps = crps_of_draws(log_draws[:, :, None], log_final[:, None])[:, 0]
    scores = {"log_error": np.minimum(error, HIGHEST), "crps": np.minimum(crps, HIGHEST)}
    for level in LEVELS:
        low, high = np.quantile(log_draws, (0.5 - level / 2, 0.5 + level / 2), axis=1)
        scores[f"coverage_{100 * level:.0f}"] = ((low <= log_final) & (log_final <= high)).astype(float)
    return scores


def tabulate_reliability(
    probability: Float[np.ndarray, " r"], below: Bool[np.ndarray, " r"]
) -> list[dict[str, float | int]]:
    """Return the bins of the probability with count, mean probability, and frequency with its 95 % interval."""
    known = ~np.isnan(probability)
    probability, below = probability[known], below[known]
    member = np.clip(np.searchsorted(EDGES, probability, side="right") - 1, 0, len(EDGES) - 2)
    bins = []
    for i in range(len(EDGES) - 1):
        rows = member == i
        count, hits = int(rows.sum()), int(below[rows].sum())
        if not count:
            continue
        interval = scipy.stats.binomtest(hits, count).proportion_ci(0.95)
        frequency = {"frequency": hits / count, "low": float(interval.low), "high": float(interval.high)}
        mean = float(probability[rows].mean())
        bins.append({"from": EDGES[i], "to": EDGES[i + 1], "count": count, "probability": mean, **frequency})
    return bins


# Stopping rules


def stopping_rules(
    replays: Sequence[Replay], alone: Sequence[RunForecast], logistic: Float[np.ndarray, " p"]
) -> dict[str, Rule]:
    """Return the stopping rules for one kind of curve, by name."""
    single = [[jax.tree.map(lambda a, i=i: a[i], ahead) for i in range(len(ahead.last))] for ahead in alone]

    def ours(cut: int, run: int, finished: np.ndarray) -> bool:
        return bool(single[cut][run].with_finished(replays[cut].value[finished]).beats < STOP)

    def regression(cut: int, run: int, finished: np.ndarray) -> bool:
        best = np.full(len(finished), replays[cut].final[finished].min())
        x = _features(replays[cut], best, np.full(len(finished), finished.sum()))[run]
        return bool(scipy.special.expit(x @ logistic) < STOP)

    def last_value(cut: int, run: int, finished: np.ndarray) -> bool:
        return bool(replays[cut].cut_last[run] >= replays[cut].final[finished].min())

    def median(cut: int, run: int, finished: np.ndarray) -> bool:
        last = replays[cut].cut_last
        return bool(last[run] > np.median(last[replays[cut].earlier[run]]))

    percent = f"{100 * STOP:.0f} %"
    return {
        f"ours, probability below {percent}": ours,
        f"logistic, probability below {percent}": regression,
        "last record not below the best": last_value,
        "last record above the median of the earlier runs": median,
    }


def average_orders(
    replays: Sequence[Replay], alone: Sequence[RunForecast], logistic: Float[np.ndarray, " p"], orders: int
) -> dict[str, Any]:
    """Return Brier scores, reliability and results of stopping rules, averaged over random orders of the runs."""
    rng = np.random.default_rng(0)
    chances: dict[str, list[np.ndarray]] = {}
    below, rules = [], []
    for _ in range(orders):
        position = rng.permutation(len(replays[0].final))
        shuffled = [replay.reorder(position) for replay in replays]
        for replay, ahead in zip(shuffled, alone, strict=True):
            below.append(replay.final < replay.best)
            for name, chance in probabilities(replay, draw_ours(replay, ahead), logistic).items():
                chances.setdefault(name, []).append(chance)
        for kind in CURVES:
            own, forecasts = zip(*(p for p in zip(shuffled, alone, strict=True) if p[0].kind == kind), strict=True)
            by_name = stopping_rules(own, forecasts, logistic)
            rules += [{"name": name, "kind": kind, **replay_rule(own, stop)} for name, stop in by_name.items()]
    happened = np.concatenate(below)
    whole = {name: np.concatenate(parts) for name, parts in chances.items()}
    names = dict.fromkeys((rule["name"], rule["kind"]) for rule in rules)
    return {
        "orders": orders,
        "brier": {name: float(np.nanmean((chance - happened) ** 2)) for name, chance in whole.items()},
        "reliability": {name: tabulate_reliability(whole[name], happened) for name in ("ours", "logistic")},
        "rules": [
            {"rule": name, "curve": kind}
            | {q: float(np.mean([r[q] for r in rules if (r["name"], r["kind"]) == (name, kind)])) for q in RULE}
            for name, kind in names
        ],
    }


# The report


def compare_methods(
    replays: Sequence[Replay], draws: Sequence[dict[str, np.ndarray]], logistic: Float[np.ndarray, " p"]
) -> dict[str, Any]:
    """Return scores by method and group, paired differences (ours minus the method), and reliability tables."""
    groups = {
        "all": list(range(len(replays))),
        **{kind: [i for i, replay in enumerate(replays) if replay.kind == kind] for kind in CURVES},
        **{f"cut at 1/{d}": [i for i, replay in enumerate(replays) if replay.divisor == d] for d in CUTS},
    }
    chances = [probabilities(*both, logistic) for both in zip(replays, draws, strict=True)]
    below = [replay.final < replay.best for replay in replays]
    scores: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in chances[0]}
    for replay, values, chance, happened in zip(replays, draws, chances, below, strict=True):
        for name in scores:
            known = score_values(replay, values[name]) if name in values else {}
            scores[name].append({**known, "brier": (chance[name] - happened) ** 2})
    result: dict[str, Any] = {"scores": {}, "ours - method": {}, "reliability": {}}
    for name, parts in scores.items():
        result["scores"][name], result["ours - method"][name] = {}, {}
        for group, rows in groups.items():
            run = np.concatenate([replays[i].run for i in rows])
            values = {q: np.concatenate([parts[i][q] for i in rows]) for q in parts[0]}
            ours = {q: np.concatenate([scores["ours"][i][q] for i in rows]) for q in parts[0]}
            result["scores"][name][group] = {q: float(np.nanmean(v)) for q, v in values.items()}
            if name != "ours":
                kept = [q for q in ("log_error", "crps", "brier") if q in values]
                result["ours - method"][name][group] = {q: clustered_mean(ours[q] - values[q], run) for q in kept}
        whole = np.concatenate([chance[name] for chance in chances])
        result["reliability"][name] = tabulate_reliability(whole, np.concatenate(below))
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runs_in_flight", description="Forecast runs in flight.")
    parser.add_argument("data", type=Path, help="Table of the runs, runs.csv.")
    parser.add_argument("output", type=Path, help="Folder of the results.")
    parser.add_argument("--half", choices=("development", "held_out"), default="development")
    parser.add_argument("--orders", type=int, default=ORDERS, help=f"Random orders of the runs [default: {ORDERS}].")
    options = parser.parse_args(arguments)
    logistic = fit_logistic(read_replays(options.data, "development"))
    replays = read_replays(options.data, options.half)
    alone, draws, seconds = [], [], 0.0
    for replay in replays:
        begin = time.process_time()
        alone.append(forecast_runs(KEY, replay.step, replay.cut_value, replay.steps))
        seconds += time.process_time() - begin
        draws.append(draw_ours(replay, alone[-1]) | forecast_simply(replay))
        print(f"{replay.kind}, cut at 1/{replay.divisor}", flush=True)
    result = compare_methods(replays, draws, logistic)
    result["random orders"] = average_orders(replays, alone, logistic, options.orders)
    counts = {"runs": len(replays[0].run), "forecasts": sum(len(replay.run) for replay in replays)}
    facts = {**counts, "half": options.half, "processor_seconds_per_forecast": seconds / counts["forecasts"]}
    report = {"facts": facts, "environment": environment(), **_round(result)}
    write_json(options.output / f"{options.half}.json", report)
    with atomic_path(options.output / f"{options.half}.md") as temporary:
        temporary.write_text(format_tables(result))
    draw_figure(result, select_examples(replays, draws), options.output / f"{options.half}.png")
    print(format_tables(result))


def _round(value: Any) -> Any:
    """Round numbers, also those in lists."""
    if isinstance(value, list):
        return [_round(part) for part in value]
    return {name: _round(part) for name, part in value.items()} if isinstance(value, dict) else round_numbers(value)


def select_examples(replays: Sequence[Replay], draws: Sequence[dict[str, np.ndarray]]) -> list[Example]:
    """Return the runs at five quantiles of the last loss, cut at a quarter of their steps."""
    for replay, values in zip(replays, draws, strict=True):
        if (replay.kind, replay.divisor) == ("loss", 4):
            order = np.argsort(replay.final)
            rows = order[(np.array([0.05, 0.25, 0.5, 0.7, 0.85]) * len(order)).astype(int)]
            return [Example(replay.value[run], replay.count, values["ours"][run]) for run in rows]
    return []


if __name__ == "__main__":
    main()
