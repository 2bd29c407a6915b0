"""Parts of the dependence between forecasts, each left out, on the even data sets of LCDB 1.1.

    python -m benchmarks.comparison.development ../shared/data/lcdb11 OUTPUT --data-sets 40

The same forecasts are compared with and without each part; the log score of the order is that of
`benchmarks.comparison`. The constants of `lcjax.curves.comparison.dependence` were chosen by hand on all even data sets
with this score and the reliability of the probabilities; `benchmarks.comparison.search` searches for them.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.comparison.contests import read_contests
from benchmarks.comparison.scores import Rows, concatenate, forecast_contests, log_score
from benchmarks.forecast import clustered_mean
from benchmarks.forecast.report import round_numbers
from lcjax.curves.comparison import dependence
from lcjax.curves.comparison.compare import compare_forecasts
from lcjax.files import cache_folder, write_json
from lcjax.kernels.stored_programs import store_programs
from lcjax.provenance import environment

VARIANTS: dict[str, dict[str, float]] = {
    "all parts": {},
    "without the likeness of curves": {"_ALIKE": 0.0},
    "without common noise": {"_SHARED": 0.0},
    "without pooled falls": {"_POOLED": 0.0},
    "without persistence of the order": {"_PERSISTENCE": 0.0},
    "independent": {"_ALIKE": 0.0, "_SHARED": 0.0, "_POOLED": 0.0, "_PERSISTENCE": 0.0},
}
CONSTANTS = {name: getattr(dependence, name) for name in VARIANTS["independent"]}
KEY = jax.random.key(0)


def score_variants(folder: Path, data_sets: int) -> Rows:
    """Return the orders of all contests, with the probability of each variant in a column."""
    contests, rows = list(read_contests(folder, half="even", data_sets=data_sets)), []
    for number, (contest, own, orders) in enumerate(forecast_contests(KEY, contests), 1):
        targets = np.unique(orders["target"])
        index = [orders[name].astype(int) for name in ("first", "second")]
        for name, changes in VARIANTS.items():
            vars(dependence).update(CONSTANTS | changes)
            comparison = compare_forecasts(KEY, own, contest.curves(), names=contest.learners)
            probability = comparison.probability_of_order(targets, measured=True)
            orders[name] = probability[index[0], index[1], np.searchsorted(targets, orders["target"])]
        rows.append(orders)
        print(f"{number} of at most {len(contests)} contests", flush=True)
    return concatenate(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of LCDB 1.1")
    parser.add_argument("output", type=Path, help="folder for the scores")
    parser.add_argument("--data-sets", type=int, default=40, help="number of data sets, a random sample")
    settings = parser.parse_args(arguments)
    if (folder := cache_folder()) is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        store_programs(folder / "programs")
    began = time.process_time()
    rows = score_variants(settings.folder, settings.data_sets)
    scores = {name: log_score(rows[name], rows["first_better"]) for name in VARIANTS}
    result: dict[str, Any] = {
        "configuration": {"half": "even", "data sets": settings.data_sets, "constants": CONSTANTS},
        "environment": environment(),
        "processor seconds": time.process_time() - began,
        "log score": {name: vars(clustered_mean(score, rows["data_set"])) for name, score in scores.items()},
        "all parts - variant": {
            name: vars(clustered_mean(scores["all parts"] - score, rows["data_set"]))
            for name, score in scores.items() if name != "all parts"
        },
    }  # fmt: skip
    write_json(settings.output / "development.json", round_numbers(result))
    for name, difference in result["all parts - variant"].items():
        print(f"all parts - {name}: {difference['value']:+.4f} ({difference['low']:+.4f} to {difference['high']:+.4f})")


if __name__ == "__main__":
    main()
