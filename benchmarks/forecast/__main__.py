"""Comparison of forecasters on held-out measurements of learning curves.

The early part of every curve is fitted and its later measurements are scored: log error of the median, CRPS, log
density, coverage and interval score. The first method is compared with the others case by case, with bootstrap
intervals clustered by data set.

    python -m benchmarks.forecast lcdb:FOLDER OUTPUT
    python -m benchmarks.forecast hoiem:FOLDER OUTPUT
    python -m benchmarks.forecast curves.csv OUTPUT --methods posterior,last_value,M2

Sources:

- `lcdb:FOLDER`: validation error rates of LCDB 1.1, cut at 1/2, 1/4, 1/8 and 1/16 of the largest size, with at least
  six sizes to fit; DummyClassifier is omitted. Data sets with odd numbers (`--half odd`) are held out from development.
- `hoiem:FOLDER`: image classifiers of Hoiem et al. (2021), cut at 1/2 and 1/4, with two to four sizes to fit; a
  held-out error is that of one training.
- a CSV file of the public benchmark, rows with Training = 0 held out.

Methods: `posterior` (`lcjax.curves.forecast.forecast`), `mixture` (`lcjax.curves.forecast.mixture`), `last_value` (a
random walk in log size), and single forms by least squares of log errors with 40 bootstrap draws and Student noise: the
power law M1, M2 with an offset, M3, M4, MMF, BNSL-1 and BNSL-2 with one and two breaks. `module:attribute` is any
object with the protocol `benchmarks.forecast.predictive.Method`.

Densities are per unit of log error (in `comparison.json` also per unit of the error). Errors of LCDB and of Hoiem et
al. are stored in steps of 1e-4: a measurement within half a step of an interval is inside, and densities are averaged
over the step and at most its reciprocal. Held-out errors of 0 are dropped and counted. Every pair of curve and cut has
equal weight. Seconds are processor seconds to fit a curve and to forecast its held-out sizes, without compilation.

`comparison.json`, `comparison.md` and `comparison.png/.svg` are written to OUTPUT. Scores are stored in OUTPUT/parts,
from which an interrupted run resumes; those of the first method carry the version `--tag`, so that a new version
computes only its own.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp

from benchmarks.forecast.cases import Cases
from benchmarks.forecast.comparison import RESAMPLES, compare
from benchmarks.forecast.methods import METHODS, find_method
from benchmarks.forecast.report import draw_comparison, round_numbers, table
from benchmarks.forecast.scoring import score
from benchmarks.forecast.sources import read_cases
from lcjax.files import atomic_path, cache_folder, write_json
from lcjax.provenance import environment


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    methods = [find_method(name) for name in options.methods.split(",")]
    cases = read_cases(options.source, half=options.half, curves=options.curves)
    print(_describe(cases), flush=True)
    folder = cache_folder()
    if folder is not None and not jax.config.values["jax_compilation_cache_dir"]:
        jax.config.update("jax_compilation_cache_dir", str(folder))
    key = jax.random.key(options.seed)
    scores = []
    for i, method in enumerate(methods):
        tag = options.tag if i == 0 else ""
        print(f"method {i + 1} of {len(methods)}: {method.name}", flush=True)
        scores.append(
            score(method, cases, key, chunk=options.chunk, parts=options.output / "parts", tag=tag, progress=_show)
        )
    result = compare(scores)
    report = {"configuration": _configuration(options, cases), "environment": environment(), **round_numbers(result)}
    write_json(options.output / "comparison.json", report)
    with atomic_path(options.output / "comparison.md") as temporary:
        temporary.write_text(table(result))
    draw_comparison(result, options.output / "comparison")
    print(table(result))


def _configuration(options: argparse.Namespace, cases: Cases) -> dict[str, str | int | float | None]:
    """Return the options and the numbers of cases; a source without the path to it."""
    kind, _, folder = options.source.partition(":")
    return {
        **{name: value for name, value in vars(options).items() if name not in ("output", "source")},
        "source": f"{kind}:{Path(folder).name}" if folder else Path(kind).name,
        "pairs": len(cases),
        "clusters": len(set(cases.cluster)),
        "measurements": int(cases.present.sum()),
        "zeros_dropped": cases.zeros,
        "step": cases.step,
        "dtype": jnp.result_type(float).name,
        "estimates": f"[value, low, high], 95 % bootstrap interval of {RESAMPLES} resamples of the clusters",
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecast", description="Compare forecasters.")
    parser.add_argument("source", help="lcdb:FOLDER, hoiem:FOLDER, or a CSV file of the public benchmark.")
    parser.add_argument("output", type=Path, help="Folder of the results.")
    parser.add_argument("--half", choices=("even", "odd"), default="even", help="Data sets of LCDB [default: even].")
    parser.add_argument("--curves", type=int, default=1200, help="Number of (curve, cut) pairs [default: 1200].")
    parser.add_argument(
        "--methods", default=",".join(METHODS), help="Methods, ours first, or module:attribute [default: all]."
    )
    parser.add_argument("--tag", default="", help="Version of the first method, recorded in its parts.")
    parser.add_argument(
        "--chunk", type=int, help="Largest number of pairs in a part [default: 256, posterior and last_value 64]."
    )
    parser.add_argument("--seed", type=int, default=0, help="Seed of the methods [default: 0].")
    return parser


def _show(line: str) -> None:
    print(line, flush=True)


def _describe(cases: Cases) -> str:
    return (
        f"{len(cases)} pairs of curve and cut, {len(set(cases.cluster))} data sets, {int(cases.present.sum())} "
        f"held-out measurements ({cases.zeros} of 0 dropped), {cases.size.shape[1]} sizes to fit at most"
    )


if __name__ == "__main__":
    main()
