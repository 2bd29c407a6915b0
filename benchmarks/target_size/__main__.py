"""Sizes for target errors on LCDB 1.1, scored with censoring against two references.

    python -m benchmarks.target_size ../shared/data/lcdb11 OUTPUT --half odd

Every curve is cut at 1/2, 1/4, 1/8 and 1/16 of its largest size, as in `benchmarks.forecast`. Targets are 1.5 to 0.45
times the mean of the last three fitted errors, so they depend on the fitted part alone. The truth is the first crossing
of the whole curve, smoothed by local lines; targets met at the smallest size are left-censored, those not met up to the
largest size right-censored.

- `forecast`: `lcjax.curves.forecast.forecast.forecast`;
- `power law`: the power law with an offset by least squares, with bootstrap draws;
- `last value`: the last error, with the interval of a random walk in log size.

Scores: the log probability of the half octave of the truth, the interval score of the 90 % interval of log size, its
coverage, and the probability that the size exceeds 2, 4 and 16 times the data, with Brier score and reliability.
Intervals (95 %) come from a bootstrap over data sets. Counted also: answers and limits below the smallest size, and
intervals on the wrong side of a measured crossing inside the fitted range.
"""

import argparse
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

from benchmarks.forecast import FormFit, LastValue, clustered_mean
from benchmarks.forecast.cases import Cases
from benchmarks.forecast.report import round_numbers
from benchmarks.forecast.sources import read_cases
from benchmarks.target_size.report import draw_figure, format_tables
from benchmarks.target_size.scores import MULTIPLES, SizeScores, score_sizes
from benchmarks.target_size.truth import SHARES, Truth, find_truth
from lcjax.curves.answer.crossing import first_crossing
from lcjax.curves.answer.joint_draws import search_grid
from lcjax.curves.forecast.forecast import forecast
from lcjax.curves.forms import power_law_offset
from lcjax.files import write_json
from lcjax.provenance import environment

FACTORS = ("at smallest", "within", "1 to 2", "2 to 4", "4 to 8", "8 to 16", "beyond 16", "never")
EDGES = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)
BLOCK = 50
KEY = jax.random.key(0)


def score_block(name: str, cases: Cases, truth: Truth) -> SizeScores:
    """Score the sizes of one method for every case and target."""
    curves = cases.curves()
    columns = range(truth.target.shape[1])
    if name == "forecast":
        ahead = forecast(KEY, curves, allow_rising=True)
        targets = [truth.target[:, t].astype(np.float32) for t in columns]
        draws = np.stack([np.asarray(ahead._crossings(target)) for target in targets], axis=1)
        answers = [ahead.size_for_error(target) for target in targets]
        low, high = (np.stack([np.asarray(getattr(a, f), float) for a in answers], axis=1) for f in ("low", "high"))
        return score_sizes(draws, truth, limits=(low, high))
    method = FormFit("M2", power_law_offset) if name == "power law" else LastValue()
    grid = np.asarray(search_grid(truth.smallest, truth.cut))
    draws = np.exp(np.clip(method.fit(KEY, curves).log_draws(grid), -60, 60))
    sizes = [first_crossing(grid[:, None], draws, truth.target[:, t, None]) for t in columns]
    return score_sizes(np.stack(sizes, axis=1), truth)


def score(name: str, cases: Cases, truth: Truth) -> SizeScores:
    """Score a method in blocks of cases."""
    blocks = []
    for start in range(0, len(cases), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(cases)))
        part = Truth(**{field: value[rows] for field, value in vars(truth).items()})
        blocks.append(score_block(name, cases.take(rows), part))
        print(f"{name}: {rows[-1] + 1} of {len(cases)}", flush=True)
    return SizeScores(**{field: np.concatenate([getattr(b, field) for b in blocks]) for field in vars(blocks[0])})


def factor_of(scores: SizeScores, truth: Truth) -> Float[np.ndarray, "b t"]:
    """Return the index in `FACTORS` of every answer: by the size that the method itself gives."""
    ratio = scores.value / truth.cut[:, None]
    index = np.searchsorted([1.0, 2.0, 4.0, 8.0, 16.0], ratio * (1 - 1e-6)) + 1
    index = np.where(scores.value <= truth.smallest[:, None] * (1 + 1e-5), 0, index)
    return np.where(np.isinf(scores.value), len(FACTORS) - 1, index)


def summarize(scores: SizeScores, truth: Truth, cases: Cases, rows: Bool[np.ndarray, "b t"]) -> dict[str, Any]:
    """Summarize the scores of a selection of cases and targets, with intervals clustered by data set."""
    cluster = np.repeat(cases.cluster[:, None], rows.shape[1], axis=1)[rows]
    values = {name: getattr(scores, name)[rows] for name in ("log_score", "interval_score", "inside")}
    result: dict[str, Any] = {name: vars(clustered_mean(value, cluster)) for name, value in values.items()}
    state = {"left-censored": truth.at_smallest, "right-censored": truth.unreached}
    return {**result, "count": int(rows.sum()), **{name: float(flag[rows].mean()) for name, flag in state.items()}}


def paired(ours: SizeScores, other: SizeScores, cases: Cases) -> dict[str, Any]:
    """Return the mean differences of the scores, ours minus the other's."""
    cluster = np.repeat(cases.cluster[:, None], ours.value.shape[1], axis=1).ravel()
    return {
        name: vars(clustered_mean((getattr(ours, name) - getattr(other, name)).ravel(), cluster))
        for name in ("log_score", "interval_score")
    }


def reliability(scores: SizeScores, cases: Cases) -> dict[str, Any]:
    """Return Brier scores and frequencies by probability for each multiple of the largest fitted size."""
    result: dict[str, Any] = {}
    for i, multiple in enumerate(MULTIPLES):
        probability, event = scores.beyond[..., i], scores.exceeded[..., i]
        known = ~np.isnan(event)
        cluster = np.repeat(cases.cluster[:, None], known.shape[1], axis=1)
        brier = clustered_mean(((probability - event) ** 2)[known], cluster[known])
        bins = []
        for low, high in itertools.pairwise(EDGES):
            rows = known & (probability >= low) & ((probability < high) | ((high == 1) & (probability <= 1)))
            if rows.any():
                frequency = clustered_mean(event[rows], cluster[rows])
                bins.append({"probability": float(probability[rows].mean()), **vars(frequency)})
        result[str(multiple)] = {"brier": vars(brier), "bins": bins}
    return result


def violations(scores: SizeScores, truth: Truth) -> dict[str, int]:
    """Count answers below the smallest size, and intervals on the wrong side of a crossing among fitted sizes."""
    smallest, cut = truth.smallest[:, None], truth.cut[:, None]
    below = (scores.value < smallest * (1 - 1e-6)) | (scores.low < smallest * (1 - 1e-6))
    seen = (truth.after <= cut * (1 + 1e-6)) & ~truth.at_smallest
    wrong = seen & ((scores.high < truth.before * (1 - 1e-6)) | (scores.low > truth.after * (1 + 1e-6)))
    return {"answers": int(below.size), "below the smallest size": int(below.sum()),
            "crossings seen": int(seen.sum()), "interval on the wrong side": int(wrong.sum())}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of LCDB 1.1")
    parser.add_argument("output", type=Path, help="folder for scores, tables and figure")
    parser.add_argument("--half", choices=("even", "odd"), default="even")
    parser.add_argument("--curves", type=int, default=1200, help="number of (curve, cut) pairs")
    settings = parser.parse_args(arguments)
    started = time.process_time()
    cases = read_cases(f"lcdb:{settings.folder}", half=settings.half, curves=settings.curves)
    truth = find_truth(cases)
    methods = {name: score(name, cases, truth) for name in ("forecast", "power law", "last value")}
    everything = np.ones(truth.size.shape, bool)
    result: dict[str, Any] = {
        "configuration": {"half": settings.half, "pairs": len(cases), "shares": SHARES},
        "environment": environment(),
        "processor seconds": time.process_time() - started,
        "scores": {name: summarize(scores, truth, cases, everything) for name, scores in methods.items()},
        "forecast - method": {
            name: paired(methods["forecast"], scores, cases) for name, scores in methods.items() if name != "forecast"
        },
        "by factor": {}, "by family": {}, "by cut": {},
        "reliability": {name: reliability(scores, cases) for name, scores in methods.items()},
        "violations": {name: violations(scores, truth) for name, scores in methods.items()},
    }  # fmt: skip
    for name, scores in methods.items():
        factor = factor_of(scores, truth)
        groups = {label: factor == i for i, label in enumerate(FACTORS)}
        result["by factor"][name] = {
            g: summarize(scores, truth, cases, rows) for g, rows in groups.items() if rows.any()
        }
        families = {family: everything & (cases.family == family)[:, None] for family in np.unique(cases.family)}
        result["by family"][name] = {g: summarize(scores, truth, cases, rows) for g, rows in families.items()}
        ratio = np.rint(np.log2(truth.largest / cases.cut))[:, None]
        cuts = {f"{2**i}": everything & (ratio == i) for i in range(1, 5)}
        result["by cut"][name] = {g: summarize(scores, truth, cases, rows) for g, rows in cuts.items() if rows.any()}
    settings.output.mkdir(parents=True, exist_ok=True)
    write_json(settings.output / "target_size.json", round_numbers(result))
    tables = format_tables(result)
    (settings.output / "target_size.md").write_text(tables)
    draw_figure(result, settings.output / "target_size")
    print(tables)


if __name__ == "__main__":
    main()
