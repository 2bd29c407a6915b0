"""Development sets of the posterior forecaster, and its ablation on them.

    python -m benchmarks.forecast.development DATA_FOLDER OUTPUT --variants base,"no stretch" --curves 20

Sets, without the data sets, networks and runs that are held out for the evaluation of the forecaster:

- `random`, `half`, `quarter`, `short`: LCDB 1.1 (DATA_FOLDER/lcdb11), data sets with even numbers only. `random` curves
  are cut at a random size and have evenly spaced sizes before it; `half` and `quarter` are cut at these fractions of
  the largest size; `short` curves have one size per octave and are means over eight data sets.
- `nsl`, `nsl down`, `nsl up`, `rough`, `classifier`: synthetic curves, `benchmarks.forecast.synthetic`.
- `few-shot`, `training error`, `training loss`: docs/results/dense-curves, cut at 0.5 and 0.3 of the largest size.
  Networks whose seed, the number after `-s` in their name, is a multiple of 4 are held out.
- `flight error`, `flight loss`: development half of docs/results/runs-in-flight, cut at 0.5 and 0.3 of the steps.

A variant (`find_variants`) changes options or module constants of the forecaster. All variants use the same keys and
are compared curve by curve with `base`, which is "ours" in the table; intervals are clustered by data set or network.
`development.json` and `development.md` are written to OUTPUT, and scores to OUTPUT/parts, from which an interrupted run
resumes. After a change of the forecaster's sources, or of this file, all parts are computed again.
"""

import argparse
import contextlib
import csv
import dataclasses
import hashlib
import importlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.forecast import sources
from benchmarks.forecast.cases import Cases
from benchmarks.forecast.comparison import compare
from benchmarks.forecast.methods import PosteriorForecast
from benchmarks.forecast.report import round_numbers, table
from benchmarks.forecast.scoring import Scores, score
from benchmarks.forecast.synthetic import Array, CutCurve, make_set, synthetic_sets
from lcjax.curves.forecast import families
from lcjax.curves.forecast.families import FAMILIES, Family
from lcjax.curves.forecast.noise import NOISE
from lcjax.files import atomic_path, cache_folder, require_folder, write_json
from lcjax.kernels import sampling
from lcjax.provenance import environment

__all__ = ["Variant", "apply", "development_sets", "find_variants", "is_held_out", "main"]

RESULTS = Path(__file__).parents[2] / "docs" / "results"
SAMPLING = Path(sampling.__path__[0])
FRACTIONS = (0.5, 0.3)
UNEVEN = (0.7, -0.6, 0.0, -1.0, -1.5, 0.7, -0.5)  # former logarithms of the weights of `FAMILIES`
_VALIDATION, _STEP, _OCTAVE = 1, 1e-4, 8  # of LCDB: index of the split, step of the errors, sizes per octave


def development_sets(folder: Path, curves: int = 40) -> dict[str, Cases]:
    """Return all development sets by name.

    Args:
        folder: folder of the data, which contains `lcdb11`.
        curves: largest number of curves in a set; a smaller set is part of a larger one.
    """
    recorded = {
        name: make_set(name, [members[i] for i in sources.sample_rows(np.zeros(len(members), int), curves)])
        for name, members in {**_dense_curves(), **_runs_in_flight()}.items()
    }
    return {**_lcdb_sets(require_folder(folder) / "lcdb11", curves), **synthetic_sets(curves), **recorded}


def is_held_out(network: str) -> bool:
    """Return True for a network of the dense curves that was held out from development beforehand."""
    return int(network.rpartition("-s")[2]) % 4 == 0


def _lcdb_sets(folder: Path, curves: int) -> dict[str, Cases]:
    meta = json.loads((folder / "lcdb11_meta.json").read_text())
    learners = [name for members in sources.FAMILIES.values() for name in members]
    packed = np.load(folder / "lcdb11_error_rate.npz")["er"][::2, :, 0, :, _VALIDATION].astype(float)
    packed = packed[:, [meta["learners"].index(name) for name in learners]]
    error, size = np.where(packed < 0, np.nan, packed * _STEP), np.asarray(meta["anchors"], float)
    pairs = np.random.default_rng(7).permutation(np.argwhere(np.isfinite(error).sum(axis=2) >= 30))
    sets = {}
    for number, name in enumerate(("random", "half", "quarter")):
        chosen: list[CutCurve] = []
        for data_set, learner in pairs[number::3]:  # a curve belongs to one set
            there = np.isfinite(error[data_set, learner])
            x, y = size[there], error[data_set, learner][there]
            if y.min() <= 0 or y.max() < 1.05 * y.min() or len(chosen) == curves:
                continue
            rng = np.random.default_rng([7, data_set, learner])
            cut = float(x[-1]) / (2 if name == "half" else 4)
            if name == "random":
                x, y, cut = _cut_at_random(rng, x, y)
            if np.sum(x <= cut) >= 6 and np.sum(x > cut) >= 2:
                cluster = f"data set {2 * data_set}"
                chosen.append(CutCurve(x, y, cut, cluster, f"{learners[learner]}, {cluster}"))
        sets[name] = make_set(name, chosen, step=_STEP)
    rng = np.random.default_rng(8)
    averaged: list[CutCurve] = []
    while len(averaged) < curves:
        learner = int(rng.integers(len(learners)))
        known = np.flatnonzero(np.isfinite(error[:, learner]).sum(axis=1) >= 50)
        members = rng.choice(known, 8, replace=False)
        log_error = np.mean(np.log(np.maximum(error[members, learner], 1e-3)), axis=0)
        fitted, there = int(rng.integers(5, 12)), np.flatnonzero(np.isfinite(log_error))
        octaves = there[rng.integers(_OCTAVE) :: _OCTAVE][: fitted + 2]
        if len(there) >= 48 and len(octaves) >= 7:
            x, name = size[octaves], f"{learners[learner]}, data sets {sorted((2 * members).tolist())}"
            averaged.append(CutCurve(x, np.exp(log_error[octaves]), float(x[-3]), learners[learner], name))
    return sets | {"short": make_set("short", averaged)}


def _cut_at_random(rng: np.random.Generator, size: Array, error: Array) -> tuple[Array, Array, float]:
    """Keep evenly spaced sizes over a factor of 12 to 250 up to a random cut, and all sizes of an octave beyond it."""
    cut = int(rng.integers(int(0.45 * len(size)), len(size) - _OCTAVE))
    begin = int(np.searchsorted(size, size[cut] / np.exp(rng.uniform(np.log(12), np.log(250)))))
    end = int(np.searchsorted(size, 2.12 * size[cut], side="right"))
    least = 0.5 * size[cut] * (1 - 2 ** (-1 / _OCTAVE))
    rows = [begin]
    for i in range(begin + 1, cut + 1):
        if size[i] - size[rows[-1]] >= least or i == cut:
            rows.append(i)
    rows += range(cut + 1, end)
    return size[rows], error[rows], float(size[cut])


def _dense_curves() -> dict[str, list[CutCurve]]:
    points = defaultdict(list)
    for row in csv.DictReader((RESULTS / "dense-curves" / "curves.csv").read_text().splitlines()):
        if not is_held_out(row["Model"]):
            curve = row["Domain"], row["Task"], row["Model"]
            points[curve].append((float(row["Seen Examples"]), float(row["Loss"])))
    sets = defaultdict(list)
    for (domain, task, network), values in points.items():
        x, y = np.array(sorted(values)).T
        for fraction in FRACTIONS:
            cut = fraction * float(x[-1])
            sets[f"{domain} {fraction}"].append(CutCurve(x, y, cut, network, f"{network}, {task}"))
    return dict(sets)


def _runs_in_flight() -> dict[str, list[CutCurve]]:
    sets = defaultdict(list)
    reader = csv.DictReader((RESULTS / "runs-in-flight" / "runs.csv").read_text().splitlines())
    rows = [row for row in reader if row["half"] == "development"]
    for row, metric, fraction in ((r, m, f) for r in rows for m in ("error", "loss") for f in FRACTIONS):
        steps = float(row["steps"])
        y = np.array([float(row[f"{metric}_{k:02d}"] or "nan") for k in range(1, 49)])
        x = steps * np.arange(1, 49) / 48
        there = np.isfinite(y) & (y > 0)
        if there.sum() >= 40 and np.sum(x[there] > fraction * steps) >= 2:
            cluster = f"{row['task']} {row['net']} {row['size']}"
            name = f"{cluster} {row['schedule']}, learning rate {row['learning_rate']}"
            sets[f"flight {metric} {fraction}"].append(CutCurve(x[there], y[there], fraction * steps, cluster, name))
    return dict(sets)


@dataclasses.dataclass(frozen=True)
class Variant:
    """A change of the posterior forecaster.

    Attributes:
        name: name of the variant.
        question: description of the part of the forecaster that it tests.
        arguments: keyword arguments of `lcjax.curves.forecast.forecast.forecast`.
        constants: values by `module.constant`, of modules in `lcjax.curves.forecast`.
    """

    name: str
    question: str
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    constants: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def find_variants() -> dict[str, Variant]:
    """Return the variants of the ablation by name, `base` first."""
    fields = ("ratio", "length", "power", "discount", "smooth")
    models = np.array([getattr(NOISE, name) for name in fields])
    undiscounted = np.unique(models * (np.array(fields) != "discount")[:, None], axis=1)
    white, even = (dict(zip(fields, rows, strict=True)) for rows in (models[:, models[0] == 0], undiscounted))
    two_scales = dataclasses.replace(NOISE, scale=np.array([0.001, 0.01], np.float32))
    uneven = [dataclasses.replace(f, log_weight=w) for f, w in zip(FAMILIES, UNEVEN, strict=True)]
    low, high = ([shift_floor(family, shift) for family in FAMILIES] for shift in (-0.7, 0.7))
    rest = {family.name: [other for other in FAMILIES if other is not family] for family in FAMILIES}
    flat = {"posterior._log_prior_of_end": lambda ends, limits: jnp.zeros_like(ends[:, 0])}
    variants = [
        Variant("base", "The forecaster as it is."),
        *(Variant(f"only {f.name}", f"Averaging: {f.words} alone.", {"families": [f]}) for f in FAMILIES),
        *(Variant(f"without {f.name}", f"One family: {f.words}.", {"families": rest[f.name]}) for f in FAMILIES),
        Variant("white noise only", "Correlated departures.", {"noise": dataclasses.replace(NOISE, **white)}),
        Variant("no discount", "Larger noise at small sizes.", {"noise": dataclasses.replace(NOISE, **even)}),
        Variant("two noise scales", "Number of scales of the noise: two in place of four.", {"noise": two_scales}),
        Variant("no end prior", "Prior of the slopes at the end of the data and beyond.", {}, flat),
        Variant("no guard", "Limits beyond the data.", {}, {"draws._BELOW": np.inf, "draws._ABOVE": np.inf}),
        Variant("no surprise", "Draws that expect a surprise beyond the data.", {}, {"draws._SURPRISE": 0.0}),
        Variant("no stretch", "Widened intervals.", {}, {"draws._STRETCH": 1.0}),
        Variant("evidence power 1", "Weights by Bayes' rule.", {}, {"posterior._EVIDENCE_POWER": 1.0}),
        Variant("evidence power 0.35", "More even weights.", {}, {"posterior._EVIDENCE_POWER": 0.35}),
        Variant("more chains", "Precision of the sampler: four times the chains.", {"chains": 128}),
        Variant("uneven weights", "Prior weights of the families: the former ones.", {"families": uneven}),
        Variant("low floors", "Prior of the floor: a smaller irreducible share.", {"families": low}),
        Variant("high floors", "Prior of the floor: a larger irreducible share.", {"families": high}),
    ]  # fmt: skip
    return {variant.name: variant for variant in variants}


def shift_floor(family: Family, shift: float) -> Family:
    """Shift the prior mean of the floor, the last parameter of every family except the constant."""
    location = np.array(family.location)
    location[-1] += 0.0 if family.name == "constant" else shift
    return dataclasses.replace(family, location=location)


@contextlib.contextmanager
def apply(variant: Variant) -> Iterator[PosteriorForecast]:
    """Patch the variant's constants, yield its forecaster, and restore them; compiled programs are discarded."""
    with contextlib.ExitStack() as stack:
        stack.callback(jax.clear_caches)
        for name, value in variant.constants.items():
            module, _, constant = name.partition(".")
            owner = importlib.import_module(f"lcjax.curves.forecast.{module}")
            stack.enter_context(mock.patch.object(owner, constant, value))
        jax.clear_caches()
        yield PosteriorForecast(variant.name, dict(variant.arguments))


def main(arguments: Sequence[str] | None = None) -> None:
    variants = find_variants()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecast.development")
    parser.add_argument("folder", type=Path, help="Folder of the data, which contains lcdb11.")
    parser.add_argument("output", type=Path, help="Folder of the results.")
    parser.add_argument("--variants", default=",".join(variants), help="Variants to compare with base [default: all].")
    parser.add_argument("--curves", type=int, default=40, help="Largest number of curves in a set [default: 40].")
    options = parser.parse_args(arguments)
    names = [*dict.fromkeys(["base", *options.variants.split(",")])]
    if unknown := [name for name in names if name not in variants]:
        parser.error(f"No variant {', '.join(unknown)}. Variants: {', '.join(variants)}.")
    sets, tag = development_sets(options.folder, options.curves), _source_hash()
    print({name: len(cases) for name, cases in sets.items()}, flush=True)
    folder = cache_folder()
    if folder is not None and not jax.config.values["jax_compilation_cache_dir"]:
        jax.config.update("jax_compilation_cache_dir", str(folder))
    scores, key = [], jax.random.key(0)
    for name in names:
        print(f"{name}: {variants[name].question}", flush=True)
        with apply(variants[name]) as method:
            parts = [score(method, c, key, parts=options.output / "parts" / n, tag=tag) for n, c in sets.items()]
            scores.append(_merge(parts))
    result = compare(scores)
    configuration = {"curves": options.curves, "source": tag, "dtype": jnp.result_type(float).name}
    questions = {name: variants[name].question for name in names}
    report = {"configuration": configuration, "environment": environment(), "questions": questions}
    write_json(options.output / "development.json", {**report, **round_numbers(result)})
    with atomic_path(options.output / "development.md") as temporary:
        temporary.write_text(table(_by_set(result)))
    print(table(_by_set(result)))


def _source_hash() -> str:
    """Return a hash of the sources on which scores depend."""
    files = [*sorted(Path(families.__file__).parent.glob("*.py")), *sorted(SAMPLING.glob("*.py")), Path(__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]


def _merge(scores: Sequence[Scores]) -> Scores:
    """Merge the scores of one method on several sets, padded with nan to a common number of sizes."""

    def join(records: Sequence[Any]) -> dict[str, Any]:
        names = [name for name, value in vars(records[0]).items() if isinstance(value, np.ndarray)]
        return {name: _concatenate([getattr(record, name) for record in records]) for name in names}

    cases = Cases(**join([part.cases for part in scores]))
    seconds = float(np.mean([part.seconds for part in scores]))
    return Scores(method=scores[0].method, cases=cases, seconds=seconds, **join(scores))


def _concatenate(arrays: Sequence[np.ndarray]) -> np.ndarray:
    if arrays[0].ndim == 1:
        return np.concatenate(arrays)
    joined = np.full((sum(map(len, arrays)), max(a.shape[1] for a in arrays), *arrays[0].shape[2:]), np.nan)
    for end, array in zip(np.cumsum([len(a) for a in arrays]), arrays, strict=True):
        joined[end - len(array) : end, : array.shape[1]] = array
    return joined


def _by_set(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a comparison with a row for every variant and set."""
    rows: dict[str, dict[str, Any]] = {"methods": {}, "paired": {}}
    for kind, entries in rows.items():
        for name, entry in result[kind].items():
            for group, values in {"all sets": entry["all"], **entry["family"]}.items():
                failed = {"failed": entry.get("failed", 0) if group == "all sets" else 0}
                entries[f"{name}: {group}"] = {**entry, **failed, "all": values}
    return rows


if __name__ == "__main__":
    main()
