"""Check the assured size and the number of test examples on real data with fresh training sets.

    python -m benchmarks.assurance DATA_FOLDER OUTPUT [--sets mnist connect-4 w8a] [--runs FOLDER]

1. Assurance. A plan measures a learning curve at six sizes that double, with eight trainings at each, every one with
   its own training set and seed. Its forecast answers for three targets inside the measured range, the geometric means
   of neighboring errors among the last four, and for one beyond it, 0.85 times the smallest error. Fresh trainings, 64
   at each of ten sizes, then show what share of trainings meets the target at the answer:

   - `assured`: `size_for_share` with a share of 80 %, the answer under test;
   - `predictive`: the size at which `assurance` reaches 80 %, which includes the uncertainty of the curve;
   - `mean`: `size_for_error`, the size for the mean error;
   - `pool` and `pool, corrected`: `assured` from trainings on nested shards of one pool of the largest measured size,
     treated as independent or corrected by `independent_curve`.

   The error is that on a large evaluation set, common to all trainings, so `test_count` is not given.
2. Test sets. Networks of known error, from the fresh trainings, are tested on random test sets of
   `minimum_test_examples` examples.

Finished trainings are stored in RUNS [default: OUTPUT/runs], and an interrupted command resumes from there.
"""

import argparse
import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

import lcjax as lc
from benchmarks.assurance.evaluation_sets import MARGINS, check_margin
from benchmarks.assurance.report import draw_figure, format_tables
from benchmarks.assurance.trainings import SETS, Trainings, train
from benchmarks.assurance.truth import Truth, fit_truth, mean_share, resample
from lcjax.curves.answer.shared_pool import independent_curve
from lcjax.curves.forecast.forecast import Forecast
from lcjax.curves.learning_curve import LearningCurve, curve_from_replicates
from lcjax.files import write_json
from lcjax.provenance import environment

SHARE = 0.8
BEYOND = 0.85
SAMPLES = 400
NETWORKS = 20
GROUPS = {"inside": slice(0, 3), "beyond": slice(3, 4)}
DEFAULT = ("mnist", "connect-4", "w8a")
KEY = jax.random.key(1)
Answers = dict[str, tuple[Float[np.ndarray, "p t"], Float[np.ndarray, "p t"]]]  # sizes and targets by method


def choose_targets(error: Float[np.ndarray, "p s"]) -> Float[np.ndarray, "p t"]:
    """Return three targets inside the measured range and one beyond it, from the measured errors of each plan.

    Examples:
        >>> choose_targets(np.array([[0.9, 0.8, 0.4, 0.1]])).round(3).tolist()
        [[0.849, 0.566, 0.2, 0.085]]
    """
    inside = np.sqrt(error[:, -4:-1] * error[:, -3:])
    return np.concatenate([inside, BEYOND * error.min(axis=1, keepdims=True)], axis=1)


def answer(plans: Float[np.ndarray, "p r s"], sizes: Sequence[int]) -> tuple[Forecast, LearningCurve]:
    """Forecast the curves of plans from their repeats, and return forecast and curves."""
    curve = _curves(plans, sizes)
    return lc.forecast(KEY, curve), curve


def predictive_size(ahead: Forecast, target: Float[np.ndarray, "p t"]) -> Float[np.ndarray, "p t"]:
    """Return the size at which the probability that one training meets the target reaches `SHARE`; inf if never."""
    smallest, largest = (float(np.asarray(a).ravel()[0]) for a in (ahead.observed.smallest, ahead.observed.largest))
    grid = np.geomspace(smallest, 64 * largest, 512)
    columns = []
    for column in target.T.astype(np.float32):
        reached = np.asarray(ahead.assurance(column, grid)) >= SHARE
        columns.append(np.where(reached.any(axis=1), grid[reached.argmax(axis=1)], np.inf))
    return np.stack(columns, axis=1)


def assured_size(ahead: Forecast, target: Float[np.ndarray, "p t"]) -> dict[str, Float[np.ndarray, "p t"]]:
    """Return value and limits of the size at which one training meets the target with probability `SHARE`."""
    found = [ahead.size_for_share(column, SHARE) for column in target.T.astype(np.float32)]
    return {
        name: np.stack([np.asarray(getattr(one, name), float) for one in found], axis=1)
        for name in ("value", "low", "high")
    }


def diagnose(truth: Truth, ahead: Forecast, size: Float[np.ndarray, "p t"], target: np.ndarray) -> dict[str, Any]:
    """Decompose the distance between target and mean log error at the answers, for targets inside and beyond.

    - `deviate`: the distance in true standard deviations of the log error, mean and standard deviation over answers. A
      deviate of `needed` gives a share of 80 %; the spread of deviates lowers the mean share, which is concave there.
    - `noise`: mean distance that the forecast allows for noise, divided by the mean distance that is needed.
    - `curve`: forecast of the error divided by the true geometric mean error, at the answer; geometric mean.
    - `share at mean deviate`: share at the mean deviate; its excess over the mean share is due to the spread.
    """
    known = np.isfinite(size)
    at = np.where(known, size, truth.size[-1])
    forecast = np.asarray(ahead.predict(at.astype(np.float32)), float)
    spread = truth.standard_deviation(at)
    allowed, center = np.log(target / forecast), np.log(forecast) - truth.mean_log_error(at)
    deviate = (np.log(target) - truth.mean_log_error(at)) / spread
    needed = truth.quantile(SHARE)
    result: dict[str, Any] = {"needed": needed}
    for group, columns in GROUPS.items():
        rows = known[:, columns] & ~truth.is_outside(at[:, columns])
        if not rows.any():
            continue
        z, gap, true_gap, off = (
            a[:, columns][rows] for a in (deviate, allowed, needed * spread, np.broadcast_to(center, at.shape))
        )
        result[group] = {
            "answers": int(rows.sum()),
            "deviate": [float(z.mean()), float(z.std())],
            "noise": float(gap.mean() / true_gap.mean()),
            "curve": float(np.exp(off.mean())),
            "curve, spread of log": float(off.std()),
            "share at mean deviate": float(np.mean(truth.deviates <= z.mean())),
        }
    return result


def examine(name: str, trainings: Trainings) -> tuple[dict[str, Any], Answers, Truth]:
    """Answer for the targets of every plan on a data set, and describe plans, truth and answers."""
    design, truth = SETS[name], fit_truth(np.array(SETS[name].truth, float), trainings.fresh)
    sizes = design.sizes
    ahead, curve = answer(trainings.plans, sizes)
    target = choose_targets(np.asarray(curve.error, float))
    assured = assured_size(ahead, target)
    pools = _curves(trainings.pools, sizes)
    pool_target = choose_targets(np.asarray(pools.error, float))
    corrected = independent_curve(pools, sizes[-1])
    mean = [np.asarray(ahead.size_for_error(column).value, float) for column in target.T.astype(np.float32)]
    answers: Answers = {
        "assured": (assured["value"], target),
        "predictive": (predictive_size(ahead, target), target),
        "mean": (np.stack(mean, axis=1), target),
        "pool": (assured_size(lc.forecast(KEY, pools), pool_target)["value"], pool_target),
        "pool, corrected": (assured_size(lc.forecast(KEY, corrected), pool_target)["value"], pool_target),
    }
    true_size = truth.size_for_share(target, SHARE)
    inside = np.where(np.isnan(true_size), np.nan, (assured["low"] <= true_size) & (true_size <= assured["high"]))
    log_spread = np.log(trainings.plans).std(axis=1, ddof=1)
    result = {
        "reservoir": trainings.reservoir,
        "evaluation": design.evaluation,
        "plans": {"size": list(sizes), "error": trainings.plans, "pools": trainings.pools,
                  "spread of log error": np.sqrt((log_spread**2).mean(axis=0)),
                  "forecast, at the largest size": np.asarray(ahead.noise_level, float)},
        "truth": {"size": list(design.truth), "error": trainings.fresh, "train_error": trainings.train_error,
                  "spread of log error": np.log(trainings.fresh).std(axis=0, ddof=1),
                  "smoothed": truth.standard_deviation(truth.size)},
        "answers": {method: {"size": n, "target": e, "share": truth.share(n, e)} for method, (n, e) in answers.items()},
        "interval": {"low": assured["low"], "high": assured["high"], "true size": true_size,
                     "coverage of 90 %": {group: _coverage(inside[:, columns]) for group, columns in GROUPS.items()}},
        "diagnosis": diagnose(truth, ahead, assured["value"], target),
    }  # fmt: skip
    return result, answers, truth


def check_test_sets(name: str, trainings: Trainings) -> list[dict[str, Any]]:
    """Check the number of test examples with networks evenly spread in rank over the errors of the fresh trainings."""
    total = SETS[name].evaluation
    mistakes = np.sort(np.rint(trainings.fresh.ravel() * total).astype(int))
    mistakes = mistakes[mistakes > 0]
    chosen = mistakes[np.linspace(0, len(mistakes) - 1, min(NETWORKS, len(mistakes))).astype(int)]
    return [dataclasses.asdict(check_margin(chosen, total, margin)) for margin in MARGINS]


def summarize(answers: Sequence[Answers], truths: Sequence[Truth]) -> dict[str, Any]:
    """Return the mean share for each method, inside and beyond the measured range, over the given data sets."""
    samples = [resample(truth, SAMPLES, seed=i) for i, truth in enumerate(truths)]
    result: dict[str, Any] = {}
    for method in answers[0]:
        result[method] = {}
        for group, columns in GROUPS.items():
            size = [one[method][0][:, columns] for one in answers]
            target = [one[method][1][:, columns] for one in answers]
            result[method][group] = dataclasses.asdict(mean_share(size, target, truths, samples))
    return result


def round_numbers(value: Any) -> Any:
    """Round floats to four significant digits in nested data; those that are not finite become None.

    Examples:
        >>> round_numbers({"a": np.array([1 / 3, np.inf]), "b": (1, "c")})
        {'a': [0.3333, None], 'b': [1, 'c']}
    """
    if isinstance(value, Mapping):
        return {name: round_numbers(part) for name, part in value.items()}
    if isinstance(value, np.ndarray):
        return round_numbers(value.tolist())
    if isinstance(value, list | tuple):
        return [round_numbers(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of data sets")
    parser.add_argument("output", type=Path, help="folder for numbers, tables and figure")
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=DEFAULT, help="data sets")
    parser.add_argument("--runs", type=Path, help="folder of finished trainings [default: OUTPUT/runs]")
    parser.add_argument("--steps", type=int, help="number of steps of a few trainings, to test the script")
    settings = parser.parse_args(arguments)
    if settings.steps:
        SETS.update({name: SETS[name].reduce(settings.steps) for name in settings.sets})
    folder = settings.runs or settings.output / "runs"
    sets, answers, truths, seconds = {}, [], [], {}
    for name in settings.sets:
        started = time.monotonic()
        trainings = train(name, SETS[name], settings.folder, folder)
        trained = time.monotonic()
        sets[name], found, truth = examine(name, trainings)
        sets[name]["test sets"] = check_test_sets(name, trainings)
        answers.append(found)
        truths.append(truth)
        seconds[name] = {"training": trained - started, "answers": time.monotonic() - trained}
        print(f"{name}: {seconds[name]}", flush=True)
    shares = {name: summarize([a], [t]) for name, a, t in zip(settings.sets, answers, truths, strict=True)}
    result = {
        "configuration": {"sets": {name: dataclasses.asdict(SETS[name]) for name in settings.sets}, "share": SHARE,
                          "beyond": BEYOND},
        "environment": environment(),
        "seconds, of which finished trainings take none": seconds,
        "shares": {**shares, "all": summarize(answers, truths)},
        "sets": sets,
    }  # fmt: skip
    result = round_numbers(result)
    settings.output.mkdir(parents=True, exist_ok=True)
    write_json(settings.output / "assurance.json", result)
    tables = format_tables(result)
    (settings.output / "assurance.md").write_text(tables)
    panels = {name: (truth, *a["assured"]) for name, a, truth in zip(settings.sets, answers, truths, strict=True)}
    draw_figure(panels, settings.output / "assurance.png")
    print(tables)


def _curves(replicates: Float[np.ndarray, "p r s"], sizes: Sequence[int]) -> LearningCurve:
    size = np.broadcast_to(np.array(sizes, np.float32), (len(replicates), len(sizes)))
    curve = curve_from_replicates(size, replicates.astype(np.float32))
    return LearningCurve(size, np.asarray(curve.error), None, np.asarray(curve.replicates))


def _coverage(inside: Float[np.ndarray, "..."]) -> dict[str, float]:
    known = inside[~np.isnan(inside)]
    return {"value": float(known.mean()) if known.size else math.nan, "answers": int(known.size)}


if __name__ == "__main__":
    main()
