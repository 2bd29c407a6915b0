"""Expected information of measurements against brute force: simulate the measurement, refit, and measure the entropy.

    python -m benchmarks.target_size.next_size ../shared/data/lcdb11 OUTPUT

For synthetic curves and curves of LCDB's even data sets, cut at a quarter, the target is 0.6 times the last error. For
every candidate size, outcomes of one training are drawn from the forecast, the curve with the outcome is forecast
again, and the entropy of the size for the target is computed in the same classes as before. Compared are the reductions
of the entropy, and the brute-force gain per cost of the candidates chosen with that of the same candidate for all
curves. The regret of the choice is the gain per cost of the best candidate by brute force less that of the chosen one,
as a share of the former; it is biased upwards, because the best of noisy gains is too high.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from benchmarks.forecast.report import round_numbers
from benchmarks.forecast.sources import lcdb_cases
from lcjax.curves.answer.next_size import label_cost
from lcjax.curves.forecast.forecast import forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.files import write_json
from lcjax.provenance import environment

FACTORS = (0.25, 1.0, 1.414, 2.0, 4.0, 8.0, 16.0)
SHARE, POINTS, CLASSES = 0.6, 12, 12
KEY = jax.random.key(0)


def synthetic_curves(count: int) -> tuple[Float[np.ndarray, "b s"], Float[np.ndarray, "b s"]]:
    """Return power laws with a floor and noise: sizes and errors at eight sizes that double."""
    rng = np.random.default_rng(0)
    size = 100.0 * 2.0 ** np.arange(8)
    exponent, floor = rng.uniform(0.2, 0.7, (count, 1)), rng.uniform(0.0, 0.4, (count, 1))
    relative = (size / size[-1]) ** -exponent
    noise = np.exp(rng.choice([0.01, 0.03], (count, 1)) * rng.normal(size=(count, len(size))))
    return np.tile(size, (count, 1)), 0.1 * (floor + (1 - floor) * relative) * noise


def lcdb_curves(folder: Path, count: int) -> tuple[Float[np.ndarray, "b s"], Float[np.ndarray, "b s"]]:
    """Return the last twelve fitted sizes, thinned to every fourth, of curves of LCDB cut at a quarter."""
    cases = lcdb_cases(folder, half="even", curves=count, divisors=(4,), fewest=4 * (POINTS - 1) + 1)
    rows = []
    for size, error in zip(cases.size, cases.error, strict=True):
        known = np.flatnonzero((error > 0) & ~np.isnan(error))[::-1][: 4 * POINTS : 4][::-1]
        rows.append((size[known], error[known]))
    rows = [row for row in rows if len(row[0]) == POINTS]
    return np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])


def entropy(crossing: Float[np.ndarray, "*b k"], edges: Float[np.ndarray, " e"]) -> Float[np.ndarray, "*b"]:
    """Return the entropy of sizes in classes with the given borders; the last class is infinite."""
    index = np.searchsorted(edges, crossing, side="right")
    share = np.stack([np.mean(index == i, axis=-1) for i in range(len(edges) + 1)], axis=-1)
    return -np.sum(share * np.log(np.where(share > 0, share, 1.0)), axis=-1)


def compare(size: Float[np.ndarray, " s"], error: Float[np.ndarray, " s"], outcomes: int) -> dict[str, Any]:
    """Return the expected and the brute-force reductions of the entropy for one curve, at all candidates."""
    ahead = forecast(KEY, LearningCurve(size, error))
    target = SHARE * error[-1]
    candidates = size[-1] * np.array(FACTORS)
    plan = ahead.next_size(target, candidates=candidates, repeats=(1,))
    crossing = np.asarray(ahead._crossings(target))
    finite = np.sort(crossing[np.isfinite(crossing) & (crossing > size[0] * (1 + 1e-5))])
    inner = finite[(np.arange(1, CLASSES) * len(finite)) // CLASSES] if len(finite) >= CLASSES else finite[1:]
    edges = np.unique(np.concatenate([[size[0] * (1 + 1e-5)], inner, [1e30]]))
    before = float(entropy(crossing, edges))
    draws = np.asarray(ahead.predict_draws(candidates, measured=True))
    chosen = np.random.default_rng(1).permutation(len(draws))[:outcomes]
    batch = [
        (np.append(size, candidates[c]), np.append(error, draws[k, c])) for c in range(len(FACTORS)) for k in chosen
    ]
    new = forecast(KEY, LearningCurve(np.stack([b[0] for b in batch]), np.stack([b[1] for b in batch])))
    after = entropy(np.asarray(new._crossings(target)), edges).reshape(len(FACTORS), outcomes)
    gain = before - after.mean(axis=1)
    cost = np.asarray(label_cost(candidates, np.ones(len(FACTORS)), np.asarray(size[-1])))
    rate, ours = gain / cost, np.asarray(plan.information) / cost
    best, pick = int(np.argmax(rate)), int(np.argmax(ours))
    return {
        "expected": np.asarray(plan.information, float).tolist(),
        "brute force": gain.tolist(),
        "standard error": (after.std(axis=1, ddof=1) / np.sqrt(outcomes)).tolist(),
        "best": FACTORS[best],
        "chosen": FACTORS[pick],
        "regret": float((rate[best] - rate[pick]) / rate[best]) if rate[best] > 0 else 0.0,
        "entropy": before,
    }


def summarize(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Summarize the comparisons of many curves.

    The gain per cost of the chosen candidates is compared with that of the same candidate for all curves: unlike the
    regret, these means are not biased by the choice of the largest of noisy gains. A cost of 1 is that of one training
    at the largest size.
    """
    names = [str(factor) for factor in FACTORS]
    expected = np.array([row["expected"] for row in rows])
    brute, spread = (np.array([row[field] for row in rows]) for field in ("brute force", "standard error"))
    cost = np.asarray(label_cost(np.array(FACTORS), np.ones(len(FACTORS)), np.asarray(1.0)))
    chosen = np.array([FACTORS.index(row["chosen"]) for row in rows])
    rate = brute / cost
    own = rate[np.arange(len(rows)), chosen]

    def by_factor(values: Float[np.ndarray, " f"]) -> dict[str, float]:
        return dict(zip(names, values.tolist(), strict=True))

    return {
        "curves": len(rows),
        "mean expected, by factor": by_factor(expected.mean(axis=0)),
        "mean brute force, by factor": by_factor(brute.mean(axis=0)),
        "standard error of the latter": by_factor(np.sqrt((spread**2).sum(axis=0)) / len(rows)),
        "correlation over curves and candidates": float(np.corrcoef(expected.ravel(), brute.ravel())[0, 1]),
        "brute force per cost, chosen": float(own.mean()),
        "brute force per cost, by factor": by_factor(rate.mean(axis=0)),
        "chosen minus factor, standard error": by_factor((own[:, None] - rate).std(axis=0, ddof=1) / len(rows) ** 0.5),
        "same choice": float(np.mean([row["best"] == row["chosen"] for row in rows])),
        "mean regret of the choice": float(np.mean([row["regret"] for row in rows])),
        "rows": rows,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of LCDB 1.1")
    parser.add_argument("output", type=Path, help="folder for the results")
    parser.add_argument("--curves", type=int, default=24, help="number of curves of each kind")
    parser.add_argument("--outcomes", type=int, default=12, help="simulated outcomes of each measurement")
    settings = parser.parse_args(arguments)
    started, result = time.process_time(), dict[str, Any]()
    sources = {"synthetic": synthetic_curves(settings.curves), "LCDB": lcdb_curves(settings.folder, settings.curves)}
    for name, (sizes, errors) in sources.items():
        rows = []
        for i, (size, error) in enumerate(zip(sizes, errors, strict=True)):
            rows.append(compare(size, error, settings.outcomes))
            print(f"{name}: {i + 1} of {len(sizes)}", flush=True)
        result[name] = summarize(rows)
    settings.output.mkdir(parents=True, exist_ok=True)
    seconds = time.process_time() - started
    configuration = {"curves": settings.curves, "outcomes": settings.outcomes, "factors": FACTORS, "share": SHARE}
    record = {"configuration": configuration, "environment": environment(), "processor seconds": seconds, **result}
    write_json(settings.output / "next_size.json", round_numbers(record))
    for name, part in result.items():
        print(name, {key: value for key, value in part.items() if key != "rows"})


if __name__ == "__main__":
    main()
