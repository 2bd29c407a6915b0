"""Report of the study: numbers in `study.json`, tables in `study.md`, and the figure."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.prediction_sets.comparison import Sets, compare_methods, failures, method_names
from benchmarks.prediction_sets.figure import draw_study
from benchmarks.prediction_sets.sets import SETS
from benchmarks.prediction_sets.summary import FLAGS
from lcjax.files import atomic_path, write_json
from lcjax.studies.report import Table, markdown

__all__ = ["format_study", "read_sets", "write_study"]

THEORY = ("hypercube", "hypercube_squared", "distances", "nearest_neighbor")


def read_sets(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the summaries of the sets in a folder, in the order of the study."""
    paths = {name: folder / "sets" / f"{name}.json" for name in SETS}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def write_study(folder: Path) -> None:
    """Write `study.json`, `study.md` and `study.png` from the summaries in a folder, if it has any."""
    sets = read_sets(folder)
    if not sets:
        return
    errors = sorted(path.name.removesuffix(".error.txt") for path in (folder / "sets").glob("*.error.txt"))
    methods = compare_methods(sets)
    result: dict[str, Any] = {"methods": methods, "failures": failures(sets), "errors": errors, "sets": sets}
    write_json(folder / "study.json", _round({**result, "sets": _without_curves(sets)}))
    with atomic_path(folder / "study.md") as temporary:
        temporary.write_text(format_study(result))
    draw_study(sets, methods, folder / "study.png")


def format_study(result: Mapping[str, Any]) -> str:
    """Format all tables as Markdown.

    Args:
        result: "sets", summaries by name; "methods", from `compare_methods`; "failures", from `failures`; and "errors",
            the sets that failed.
    """
    sets: Sets = result["sets"]
    parts = [
        _describe(sets, result["errors"]),
        markdown([_setting_table(sets), _set_table(sets), _answer_table(sets)]),
        "Bold: the best log score or factor on a set; *: within one standard error of the best log score.",
        markdown([_score_table(sets), _factor_table(sets), _weight_table(sets)]),
        "Means over sets, with 95 % intervals from a bootstrap over data sets. Rank 1 is the largest log score.",
        markdown([_method_table(result["methods"]), _theory_table(sets)]),
        _describe_failures(sets, result["failures"]),
        markdown([_flag_table(result["failures"], sets)]),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def label_of(one: Mapping[str, Any]) -> str:
    """Return the titles of the data set and the network of a summary."""
    return f"{one['title']}, {one['network']}"


def _describe(sets: Sets, errors: Sequence[str]) -> str:
    first = next(iter(sets.values()))
    lines = [
        f"# Held-out predictions on {len(sets)} sets",
        "",
        "Every method is fitted to the validation errors below half of the training set and scored on those at the "
        f"larger sizes ({first['configuration']['seeds']} seeds). The log score is the mean log density of a measured "
        "log error. The factor off is the typical ratio of predicted to measured error, `exp(rms(log ratio))`.",
        "",
    ]
    if errors:
        lines += [f"Failed with an error: {', '.join(errors)}.", ""]
    return "\n".join(lines)


def _setting_table(sets: Sets) -> Table:
    rows = []
    for one in sets.values():
        splits, training, budget = (
            one["configuration"]["splits"], one["training"], one["configuration"]["recipe"]["program"]["budget"],
        )  # fmt: skip
        examples = " / ".join(f"{splits[split]:,}" for split in ("train", "validation", "test"))
        rows.append([
            label_of(one), str(one["classes"] or "regression"), examples, _percent(one["chance_error"]),
            _percent(max(one["train_error"])), f"{budget['steps']:,} / {budget['epochs']:g}",
            f"{training['seconds']:.0f}" + (" (resumed)" if training["resumed"] else ""),
            training["environment"]["device"],
        ])  # fmt: skip
    columns = [
        "set", "classes", "training / validation / test examples", "chance error, %", "largest training error, %",
        "minimum steps / epochs", "seconds", "device",
    ]  # fmt: skip
    return Table("Sets and training", columns, rows)


def _set_table(sets: Sets) -> Table:
    rows = []
    for one in sets.values():
        exponent, dimension, shift = one["exponent"], one["dimension"], one["shift"]
        expected = one["exponents"]["1/d"]["expected"]
        verdicts = [one["exponents"][name]["verdict"] for name in ("1/d", "2/d", "4/d")]
        rules = ["–"] * 3
        if dimension is not None:
            rules = [_established(dimension[rule]) for rule in ("non_inferiority", "saturation")]
            rules.append(f"{dimension['weights']['value']:.1f}")
        intrinsic = {} if dimension is None else dimension["intrinsic"]
        moved = "–"
        if shift is not None:
            moved = f"{_change(shift['value'])} ± {100 * shift['standard_error']:.0f}"
        rows.append([
            label_of(one), f"{exponent['value']:.2f} ({exponent['low']:.2f} to {exponent['high']:.2f})",
            f"{expected:.2f}", *verdicts, *rules, " / ".join(f"{value:.1f}" for value in intrinsic.values()), moved,
        ])  # fmt: skip
    first = next((one["dimension"] for one in sets.values() if one["dimension"] is not None), None)
    names = " / ".join(name.replace("_", " ") for name in (first["intrinsic"] if first else ()))
    columns = [
        "set", "exponent (90 %)", "-1/d", "1/d", "2/d", "4/d", "d: non-inferiority", "d: saturation", "d: weights",
        f"intrinsic: {names}", "test against validation error, %",
    ]  # fmt: skip
    return Table("Exponents, dimensions (? not established) and shifts", columns, rows)


def _answer_table(sets: Sets) -> Table:
    rows = []
    for one in sets.values():
        answer, precise = one["methods"]["answer"], one["precise_sizes"]
        worst = max(precise, key=lambda size: abs(np.log(size["predicted_to_measured"])), default=None)
        rows.append([
            label_of(one), f"{answer['factor']:.2f}", f"{answer['log_score']:.2f}",
            f"{sum(answer['inside'])} of {len(answer['inside'])}",
            f"{sum(size['off'] for size in precise)} of {len(precise)}",
            "–" if worst is None else f"{100 * (worst['predicted_to_measured'] - 1):+.0f} % at {worst['size']:,}",
            "; ".join(FLAGS[flag] for flag in one["flags"]) or "none",
        ])  # fmt: skip
    columns = [
        "set", "factor off", "log score", "inside 90 %", "off by more than 10 % where the standard error is below 3 %",
        "largest of these deviations", "caveats",
    ]  # fmt: skip
    return Table("The answer at held-out sizes", columns, rows)


def _score_table(sets: Sets) -> Table:
    rows = []
    for name in method_names(sets):
        cells = []
        for one in sets.values():
            row = one["methods"][name]
            text = f"{row['log_score']:.2f}"
            close = row["behind_error"] is not None and row["behind"] <= row["behind_error"]
            cells.append(f"**{text}**" if row["behind"] == 0 else text + "*" * close)
        rows.append([name.replace("_", " "), *cells])
    return Table("Log score at held-out sizes", ["method", *map(label_of, sets.values())], rows)


def _factor_table(sets: Sets) -> Table:
    smallest = {label: min(row["factor"] for row in one["methods"].values()) for label, one in sets.items()}
    rows = []
    for name in method_names(sets):
        factors = {label: one["methods"][name]["factor"] for label, one in sets.items()}
        cells = [f"**{f:.2f}**" if f == smallest[label] else f"{f:.2f}" for label, f in factors.items()]
        rows.append([name.replace("_", " "), *cells])
    return Table("Factor off at held-out sizes", ["method", *map(label_of, sets.values())], rows)


def _method_table(methods: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = [
        [
            name.replace("_", " "), _interval(one["rank"], ".1f"), _interval(one["log_score"], ".2f"),
            _interval(one["above_power_law"], "+.2f"), f"{one['better']} of {one['sets']}",
            _interval({key: np.exp(one["log_factor"][key]) for key in ("value", "low", "high")}, ".2f"),
            _interval({key: 100 * one["inside"][key] for key in ("value", "low", "high")}, ".0f"),
        ]
        for name, one in sorted(methods.items(), key=lambda item: -item[1]["log_score"]["value"])
    ]  # fmt: skip
    columns = [
        "method", "rank", "log score", "minus that of the power law", "better on", "factor off", "inside 90 %, %",
    ]  # fmt: skip
    return Table("Methods over all sets", columns, rows)


def _weight_table(sets: Sets) -> Table:
    names = [name for name in method_names(sets) if name != "answer"]
    rows = [
        [name.replace("_", " "), *(f"{100 * one['methods'][name]['weight']:.0f}" for one in sets.values())]
        for name in names
    ]
    return Table(
        "Weight in the answer, fixed below half of the data, %", ["method", *map(label_of, sets.values())], rows
    )


def _theory_table(sets: Sets) -> Table:
    """Compare methods of the theory with the power law, which does not use it; none is selected by its score."""
    rows = []
    for one in sets.values():
        kept = [name for name, test in one["exponents"].items() if test["verdict"] == "not excluded"]
        gaps = [_gap(one["methods"][name]) for name in THEORY]
        rows.append([label_of(one), *gaps, ", ".join(kept) or "none"])
    columns = ["set", *(name.replace("_", " ") for name in THEORY), "exponents not excluded"]
    return Table("Log score of the theory's methods minus that of the power law", columns, rows)


def _describe_failures(sets: Sets, failed: Mapping[str, Mapping[str, Any]]) -> str:
    """List the sets on which each method fails, with the caveats raised there, and the sets with each caveat."""
    lines = [
        "### Failures by method",
        "",
        "A method fails on a set if its 90 % intervals contain less than half of the held-out errors.",
        "",
    ]
    for name, one in failed.items():
        where = [
            label_of(sets[label]) + f" ({', '.join(FLAGS[flag] for flag in sets[label]['flags']) or 'no caveat'})"
            for label in one["sets"]
        ]
        lines.append(f"- **{name.replace('_', ' ')}**: {'; '.join(where) or 'none'}.")
    lines += ["", "Sets on which each caveat is raised:", ""]
    for flag, text in FLAGS.items():
        where = [label_of(one) for one in sets.values() if flag in one["flags"]]
        lines.append(f"- {text}: {'; '.join(where) or 'none'}.")
    return "\n".join(lines)


def _flag_table(failed: Mapping[str, Mapping[str, Any]], sets: Sets) -> Table:
    """Tabulate the factor off of each method where a caveat is raised and elsewhere, for every caveat raised."""
    count = {flag: sum(flag in one["flags"] for one in sets.values()) for flag in FLAGS}
    flags = [flag for flag in FLAGS if count[flag]]
    rows = [
        [name.replace("_", " "), *(" / ".join(_number(one["factor"][flag][part]) for part in ("raised", "elsewhere"))
                                   for flag in flags)]
        for name, one in failed.items()
    ]  # fmt: skip
    columns = ["method", *(f"{FLAGS[flag]} ({count[flag]} of {len(sets)})" for flag in flags)]
    return Table("Factor off, geometric mean: where the caveat is raised / elsewhere", columns, rows)


def _without_curves(sets: Sets) -> dict[str, Any]:
    """Remove the curves and densities of the methods, which are in the file of each set."""
    left_out = ("curve", "log_density")
    return {
        label: {
            **one,
            "methods": {
                name: {key: value for key, value in row.items() if key not in left_out}
                for name, row in one["methods"].items()
            },
        }
        for label, one in sets.items()
    }


def _round(value: Any) -> Any:
    """Round the floats in nested data to four significant digits, for `study.json`."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, list):
        return [_round(part) for part in value]
    return {name: _round(part) for name, part in value.items()} if isinstance(value, dict) else value


def _gap(row: Mapping[str, Any]) -> str:
    """Format the log score minus that of the power law, with its standard error if it is known."""
    spread = row["above_power_law_error"]
    return f"{row['above_power_law']:+.2f}" + ("" if spread is None else f" ± {spread:.2f}")


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _change(logarithm: float) -> str:
    return f"{100 * float(np.expm1(logarithm)):+.0f}"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"


def _established(one: Mapping[str, Any]) -> str:
    return f"{one['value']:g}" + ("" if one["established"] else "?")


def _interval(estimate: Mapping[str, float], spec: str) -> str:
    return f"{estimate['value']:{spec}} ({estimate['low']:{spec}} to {estimate['high']:{spec}})"
