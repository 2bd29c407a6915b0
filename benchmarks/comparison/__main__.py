"""Comparisons of learners on LCDB 1.1: probabilities of their order, and crossings of their curves.

    python -m benchmarks.comparison ../shared/data/lcdb11 OUTPUT --half odd

On every data set, eight learners (a fixed random sample of those measured up to its largest size) are measured up to a
half and up to a quarter of that size, and compared pair by pair beyond the cut.

Order. The event is the order of the measured errors at 1.41, 2, 2.83 and 4 times the data, as far as they were
measured; ties are omitted. Its probability is scored by the log score (in nats, probabilities clipped at 0.001) and by
its reliability, as the probability that the order now is reversed. References:

- `independent`: the same forecasts, drawn independently, without pooled falls and weights of crossings;
- `order now`: the order at the largest fitted size lasts with its frequency on the even data sets, by target and cut;
- `gap now`: a logistic regression on the log ratio of the two errors there, fitted on the even data sets.

Crossings. Both the measured log errors and the joint draws, with the noise of a measurement beyond the cut, are
smoothed by local lines (normal weights, 0.25 wide in log size). The crossing is the size that best divides the sizes
between the cut and the largest one into those with the present order and those with the other order; there is none if
no division is better than none. So a brief change of sign by noise is not a crossing. Pairs whose present order is
known with a probability of 0.8 are scored. The interval of the crossing is that of the draws that cross before the
largest size; its coverage is the share of measured crossings inside. `coverage of monotone smooths` has the same
definition for curves smoothed by monotone regression over all sizes instead, which pools neighboring sizes into steps;
the draws are not smoothed this way.

Intervals (95 %) come from a bootstrap over data sets. All constants were chosen on the even half. Rows are stored in
OUTPUT/parts, from which an interrupted run resumes.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.comparison.contests import DIVISORS, Contest, read_contests, stack_curves
from benchmarks.comparison.report import draw_figure, format_tables
from benchmarks.comparison.scores import (
    CalibratedOrder,
    Rows,
    concatenate,
    measured_orders,
    score_contest,
    summarize_crossings,
    summarize_orders,
    take_forecast,
)  # fmt: skip
from benchmarks.forecast.report import round_numbers
from lcjax.curves.forecast.forecast import forecast
from lcjax.files import atomic_path, cache_folder, write_json
from lcjax.kernels.stored_programs import store_programs
from lcjax.provenance import environment

BLOCK = 10
"""Contests forecast together."""

KEY = jax.random.key(0)


def score_block(number: int, contests: Sequence[Contest]) -> tuple[Rows, Rows]:
    """Forecast the curves of some contests, and score their orders and crossings."""
    key, pair_key = jax.random.split(jax.random.fold_in(KEY, number))
    ahead = forecast(key, stack_curves(contests), allow_rising=True)
    orders, crossings, first = [], [], 0
    for i, contest in enumerate(contests):
        part = take_forecast(ahead, slice(first, first + len(contest.learners)))
        first += len(contest.learners)
        order, crossing = score_contest(jax.random.fold_in(pair_key, i), contest, part)
        orders.append(order)
        crossings.append(crossing)
    return concatenate(orders), concatenate(crossings)


def score_all(contests: Sequence[Contest], parts: Path, half: str) -> tuple[Rows, Rows, float]:
    """Score all contests in blocks, those stored in `parts` excepted; return the rows and the processor seconds."""
    pieces, seconds = [], 0.0
    for number, start in enumerate(range(0, len(contests), BLOCK)):
        block = contests[start : start + BLOCK]
        path = parts / f"{half}-{number:03d}.npz"
        identity = repr([(c.data_set, c.divisor, c.learners, float(np.nansum(c.error))) for c in block])
        if path.exists():
            with np.load(path) as file:
                stored = dict(file)
            if str(stored.pop("identity")) != identity:
                raise ValueError(f"{path} was computed for other contests; use another folder or remove its parts.")
        else:
            began = time.process_time()
            orders, crossings = score_block(number, block)
            stored = {f"orders {name}": column for name, column in orders.items()}
            stored |= {f"crossings {name}": column for name, column in crossings.items()}
            stored["seconds"] = np.array(time.process_time() - began)
            parts.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary:
                arrays: dict[str, Any] = {**stored, "identity": identity}
                np.savez_compressed(temporary, **arrays)
            print(f"{start + len(block)} of {len(contests)} contests", flush=True)
        seconds += float(stored.pop("seconds"))
        pieces.append([
            {name.removeprefix(kind): column for name, column in stored.items() if name.startswith(kind)}
            for kind in ("orders ", "crossings ")
        ])  # fmt: skip
    orders, crossings = (concatenate(rows) for rows in zip(*pieces, strict=True))
    return orders, crossings, seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of LCDB 1.1")
    parser.add_argument("output", type=Path, help="folder for scores, tables and figure")
    parser.add_argument("--half", choices=("even", "odd"), default="even")
    parser.add_argument("--learners", type=int, default=8, help="number of learners on each data set")
    parser.add_argument("--data-sets", type=int, help="number of data sets, a random sample [default: all]")
    settings = parser.parse_args(arguments)
    if (folder := cache_folder()) is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        store_programs(folder / "programs")
    options = {"learners": settings.learners, "data_sets": settings.data_sets}
    contests = list(read_contests(settings.folder, half=settings.half, **options))
    even = concatenate([measured_orders(c) for c in read_contests(settings.folder, half="even", learners=8)])
    orders, crossings, seconds = score_all(contests, settings.output / "parts", settings.half)
    result = {
        "configuration": {
            "half": settings.half, "learners": settings.learners, "divisors": DIVISORS, "contests": len(contests),
            "data sets": len({c.data_set for c in contests}), "curves": sum(len(c.learners) for c in contests),
        },
        "environment": environment(), "processor seconds": seconds,
        "order": summarize_orders(orders, CalibratedOrder(even)), "crossing": summarize_crossings(crossings),
    }  # fmt: skip
    write_json(settings.output / "comparison.json", round_numbers(result))
    tables = format_tables(result)
    with atomic_path(settings.output / "comparison.md") as temporary:
        temporary.write_text(tables)
    draw_figure(result, settings.output / "comparison")
    print(tables)


if __name__ == "__main__":
    main()
