"""Search for the constants of the dependence between forecasts, on the even data sets of LCDB 1.1.

    python -m benchmarks.comparison.search ../shared/data/lcdb11 OUTPUT --data-sets 20

From independent forecasts, one constant after the other is set to the value on its grid with the best log score of the
order of two learners (that of `benchmarks.comparison`); the passes over all constants end when none changes, or after
`--passes`. The odd data sets, on which `benchmarks.comparison` scores the result, are not read.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.comparison.contests import Contest, read_contests
from benchmarks.comparison.scores import Rows, concatenate, forecast_contests, log_score
from benchmarks.forecast import clustered_mean
from benchmarks.forecast.report import round_numbers
from lcjax.curves.comparison import dependence
from lcjax.curves.comparison.compare import compare_forecasts
from lcjax.curves.forecast.forecast import Forecast
from lcjax.files import cache_folder, write_json
from lcjax.kernels.stored_programs import store_programs
from lcjax.provenance import environment

GRID = {
    "_PERSISTENCE": (0.0, 0.3, 0.6, 0.9, 1.2),
    "_ALIKE": (0.0, 0.2, 0.4, 0.6),
    "_SHARED": (0.0, 0.2, 0.4),
    "_POOLED": (0.0, 0.15, 0.3, 0.6),
}
"""Values of each constant. The largest correlations add up to 1."""

KEY = jax.random.key(0)


def score_constants(forecasts: Sequence[tuple[Contest, Forecast, Rows]], constants: Mapping[str, float]) -> Rows:
    """Return the data set and the log score of every pair and target with some constants."""
    before = {name: getattr(dependence, name) for name in constants}
    rows = []
    try:
        vars(dependence).update(constants)
        for contest, own, orders in forecasts:
            targets = np.unique(orders["target"])
            index = [orders[name].astype(int) for name in ("first", "second")]
            comparison = compare_forecasts(KEY, own, contest.curves(), names=contest.learners)
            probability = comparison.probability_of_order(targets, measured=True)
            likely = probability[index[0], index[1], np.searchsorted(targets, orders["target"])]
            rows.append({"data_set": orders["data_set"], "score": log_score(likely, orders["first_better"])})
    finally:
        vars(dependence).update(before)
    return concatenate(rows)


def search(
    forecasts: Sequence[tuple[Contest, Forecast, Rows]], passes: int
) -> tuple[dict[str, float], dict[tuple[float, ...], Rows]]:
    """Return the best constants and the scores of all that were tried, by the values in the order of `GRID`."""
    chosen, tried = dict.fromkeys(GRID, 0.0), dict[tuple[float, ...], Rows]()

    def value(constants: Mapping[str, float]) -> float:
        key = tuple(constants[name] for name in GRID)
        if key not in tried:
            tried[key] = score_constants(forecasts, constants)
            print(
                f"{dict(constants)}: {clustered_mean(tried[key]['score'], tried[key]['data_set']).value:.4f}",
                flush=True,
            )
        return float(np.asarray(clustered_mean(tried[key]["score"], tried[key]["data_set"]).value))

    for _ in range(passes):
        before = dict(chosen)
        for name, grid in GRID.items():
            chosen[name] = max(grid, key=lambda one: value({**chosen, name: one}))  # called at once
        if chosen == before:
            break
    return chosen, tried


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of LCDB 1.1")
    parser.add_argument("output", type=Path, help="folder for the result")
    parser.add_argument("--data-sets", type=int, default=20, help="number of data sets, a random sample")
    parser.add_argument("--passes", type=int, default=2, help="largest number of passes over the constants")
    settings = parser.parse_args(arguments)
    if (folder := cache_folder()) is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        store_programs(folder / "programs")
    began = time.process_time()
    contests = list(read_contests(settings.folder, half="even", data_sets=settings.data_sets))
    forecasts = list(forecast_contests(KEY, contests))
    chosen, tried = search(forecasts, settings.passes)
    today = {name: float(getattr(dependence, name)) for name in GRID}
    key = tuple(today[name] for name in GRID)
    tried.setdefault(key, score_constants(forecasts, today))
    best = tried[tuple(chosen[name] for name in GRID)]
    result: dict[str, Any] = {
        "configuration": {"half": "even", "data sets": settings.data_sets, "passes": settings.passes, "grid": GRID},
        "environment": environment(),
        "processor seconds": time.process_time() - began,
        "best": chosen,
        "constants of the package": today,
        "best - constants of the package": vars(
            clustered_mean(best["score"] - tried[key]["score"], best["data_set"])
        ),
        "log scores": [
            {**dict(zip(GRID, values, strict=True)), **vars(clustered_mean(rows["score"], rows["data_set"]))}
            for values, rows in tried.items()
        ],
    }  # fmt: skip
    write_json(settings.output / "search.json", round_numbers(result))
    print(f"best: {chosen}; package: {today}; difference {result['best - constants of the package']}")


if __name__ == "__main__":
    main()
