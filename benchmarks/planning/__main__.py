"""Plans of data collection on LCDB 1.1: cost against the rate of missed targets, in 1, 3 and 5 rounds.

    python -m benchmarks.planning ../shared/data/lcdb11 OUTPUT --half odd

Curves are cut at 1/4, 1/8 and 1/16 of their largest size, as in `benchmarks.forecast`. The target of each is 0.9, 0.8,
0.7, 0.6 or 0.5 times the geometric mean of the last three fitted errors, in turn, so it depends on the fitted part
alone. A round collects up to a measured size; all sizes up to it are then measured, and the collection succeeds if the
error at this size is at or below the target. Every method may collect at most the whole data set. Problems are scored whose target is
met by the measured error of the whole data set; for the others all methods fail, and they are counted. Methods know
that the problem is of the first kind. The cost is the number of examples collected, in units of those at hand.

- `forecast`: `lcjax.planning` with the draws of `lcjax.forecast`, given that the target can be met;
- `LOC`: Mahmood et al. (2022): power laws fitted to bootstrap resamples of the measured points, a kernel density
  estimate of the required size, and the plan of the least expected cost, here by the same exact dynamic program;
- `LOC, tuned`: the same with points and kernel chosen on the even half;
- `power law`: the size at which the fitted power law meets the target, corrected by lowering the target, with points
  chosen on the even half;
- `power law, factor`: the same, corrected by a factor of the size;
- `oracle`: the smallest measured size that meets the target, in one round; it gives up the most expensive problems.

The penalty of the first three and the correction of the others are varied, and any two settings may be mixed. Costs at
equal failure rates are compared with 95 % intervals from a bootstrap over data sets.
"""

import argparse
import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from benchmarks.forecast.report import round_numbers
from benchmarks.forecast.sources import lcdb_cases
from benchmarks.planning.frontier import RATES, compare_costs, cost_at_rate, draw_clusters, frontier, oracle_outcome
from benchmarks.planning.problems import SHARES, Problem, make_problems
from benchmarks.planning.report import draw_figure, format_tables
from benchmarks.planning.requirements import fit_power_laws, forecast_sizes, recent, resampled_sizes, solve_power_law
from benchmarks.planning.simulation import Method, Outcome, PointMethod, SampleMethod, State, simulate
from lcjax.files import atomic_path, write_json
from lcjax.planning.requirement import restrict_to_reachable
from lcjax.provenance import environment
from lcjax.records import parse_json

HORIZONS = (1, 3, 5)
DIVISORS = (4, 8, 16)
PENALTIES = tuple(np.exp(np.linspace(np.log(0.1), np.log(3000.0), 28)).tolist())
LOWERED = tuple(np.linspace(-0.6, 0.6, 25).tolist())  # shares by which the target is lowered
FACTORS = tuple(np.exp(np.linspace(-2.0, 2.0, 25)).tolist())
# Smallest size fitted, as a share of the largest one, and True for a kernel of log sizes; `TUNED` and `FITTED` were
# chosen on the even half.
PAPER, TUNED = (0.1, False), (0.5, True)
FITTED = 0.3
BATCH, RESAMPLES = 100, 1000


def make_methods(problems: Sequence[Problem], parts: Path | None) -> list[Method]:
    """Return all methods for the problems."""

    def forecasts(states: Sequence[State]) -> Float[np.ndarray, "b k"]:
        blocks = [states[i : i + BATCH] for i in range(0, len(states), BATCH)]
        return np.concatenate([_stored(parts, problems, block) for block in blocks])

    def resampled(share: float, logarithmic: bool) -> Callable[[Sequence[State]], Float[np.ndarray, "b k"]]:
        def sample(states: Sequence[State]) -> Float[np.ndarray, "b k"]:
            return resampled_sizes([(problems[i], j) for i, j in states], share=share, logarithmic=logarithmic)

        return sample

    def to_pool(sizes: Float[np.ndarray, " k"], start: float, pool: float) -> Float[np.ndarray, " k"]:
        return np.minimum(sizes, pool)

    def if_reachable(sizes: Float[np.ndarray, " k"], start: float, pool: float) -> Float[np.ndarray, " k"]:
        kept = restrict_to_reachable(sizes, pool)
        return kept if len(kept) else np.array([pool])

    fits: dict[State, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def solve(state: State, lowered: float) -> float:
        problem = problems[state[0]]
        if state not in fits:
            size, error = recent(problem, state[1], FITTED)
            fits[state] = fit_power_laws(size, error, np.ones((1, len(size))))
        target = problem.target * (1 - lowered)
        return float(solve_power_law(*fits[state], target, float(problem.size[state[1]]))[0])

    return [
        SampleMethod("forecast", PENALTIES, problems, forecasts, if_reachable),
        SampleMethod("LOC", PENALTIES, problems, resampled(*PAPER), to_pool),
        SampleMethod("LOC, tuned", PENALTIES, problems, resampled(*TUNED), to_pool),
        PointMethod("power law", LOWERED, problems, solve),
        PointMethod("power law, factor", FACTORS, problems, lambda state, factor: factor * solve(state, 0.0)),
    ]


def _stored(parts: Path | None, problems: Sequence[Problem], block: Sequence[State]) -> Float[np.ndarray, "b k"]:
    """Return the sizes of a block of states, from its file if there is one."""
    states = [(problems[i], j) for i, j in block]
    if parts is None:
        return forecast_sizes(states)
    identity = repr([(p.name, p.cut, p.target, j, p.error[: j + 1].tolist()) for p, j in states])
    path = parts / f"{hashlib.sha256(identity.encode()).hexdigest()[:20]}.npy"
    if not path.exists():
        parts.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.save(file, forecast_sizes(states).astype(np.float32))
    return np.asarray(np.load(path), float)


def summarize(outcomes: dict[str, dict[int, Outcome]], problems: Sequence[Problem]) -> dict[str, Any]:
    """Compare the costs of our method and every other one at each failure rate, and return all frontiers."""
    weights = draw_clusters([problem.cluster for problem in problems], RESAMPLES)
    result: dict[str, Any] = {"costs": {}, "frontiers": {}}
    oracle = oracle_outcome(problems)
    for horizon in HORIZONS:
        by_method = {name: outcome[horizon] for name, outcome in outcomes.items()} | {"oracle": oracle}
        result["frontiers"][str(horizon)] = {
            name: dict(zip(("failure rate", "cost"), (a.tolist() for a in frontier(each, weights[0])), strict=True))
            for name, each in by_method.items()
        }
        result["costs"][str(horizon)] = {}
        for rate in RATES:
            row: dict[str, Any] = {
                name: compare_costs(by_method["forecast"], each, weights, rate)
                for name, each in by_method.items()
                if name != "forecast"
            }
            row["forecast"] = {"cost": cost_at_rate(*frontier(by_method["forecast"], weights[0]), rate)}
            result["costs"][str(horizon)][f"{100 * rate:g} %"] = row
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of LCDB 1.1")
    parser.add_argument("output", type=Path, help="folder for results, tables and figure")
    parser.add_argument("--half", choices=("even", "odd"), default="even")
    parser.add_argument("--curves", type=int, default=2400, help="number of (curve, cut) pairs")
    parser.add_argument("--redraw", action="store_true", help="draw the figure and the tables of OUTPUT again")
    parser.add_argument("--parts", type=Path, help="folder of finished forecasts, from which a run resumes")
    settings = parser.parse_args(arguments)
    if settings.redraw:
        report(parse_json((settings.output / "planning.json").read_bytes()), settings.output)
        return
    started = time.process_time()
    cases = lcdb_cases(settings.folder, half=settings.half, curves=settings.curves, divisors=DIVISORS)
    drawn = make_problems(cases)
    open_problems = [problem for problem in drawn if not problem.is_met]
    problems = [problem for problem in open_problems if problem.is_reached]
    methods = make_methods(problems, settings.parts)
    outcomes = {m.name: dict(simulate(m, problems, HORIZONS, lambda line: print(line, flush=True))) for m in methods}
    everything = np.mean([problem.pool / problem.size[problem.cut] - 1 for problem in problems])
    result: dict[str, Any] = {
        "configuration": {
            "half": settings.half, "pairs": len(cases), "divisors": DIVISORS, "shares": SHARES,
            "fitted from": {"LOC": PAPER[0], "LOC, tuned": TUNED[0], "power law": FITTED},
        },
        "environment": environment(),
        "processor seconds": time.process_time() - started,
        "problems": {
            "drawn": len(drawn), "met at the cut": len(drawn) - len(open_problems),
            "not met by the whole data set": len(open_problems) - len(problems), "scored": len(problems),
            "data sets": len({problem.cluster for problem in problems}), "cost of the whole data set": everything,
        },
        **summarize(outcomes, problems),
    }  # fmt: skip
    settings.output.mkdir(parents=True, exist_ok=True)
    result = round_numbers(result)
    write_json(settings.output / "planning.json", result)
    report(result, settings.output)


def report(result: dict[str, Any], folder: Path) -> None:
    """Write and print the tables, and draw the figure."""
    tables = format_tables(result)
    (folder / "planning.md").write_text(tables)
    draw_figure(result, folder / "planning")
    print(tables)


if __name__ == "__main__":
    main()
