"""Tables of `lcjax predict`: the prediction, and a row of Table 3 of Bisla et al. (2021)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, SupportsFloat

import numpy as np

from lcjax.cli.answers import print_answer
from lcjax.cli.output import format_percent, format_size, print_table
from lcjax.reports.prediction import answer_line
from lcjax.studies.prediction.caveats import caveats, held_out_factor

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.data.examples import Data
    from lcjax.studies.prediction.bottlenecks import BottleneckSweep
    from lcjax.studies.prediction.record import Prediction

__all__ = ["describe_data", "print_prediction", "print_row", "print_settings", "round_size"]


def describe_data(name: str, data: "Data") -> str:
    """Describe the numbers of examples, the shape of the inputs and the kind of targets in one line."""
    sizes = [len(part.targets) for part in (data.train, data.validation, data.test) if part is not None]
    parts = " / ".join(f"{size:,}" for size in sizes)
    shape = "x".join(str(side) for side in data.train.inputs.shape[1:])
    kind = f"{data.classes} classes" if data.classes else f"regression, wrong if off by more than {data.tolerance:g}"
    return f"{name}: {parts} training / validation / test examples, inputs {shape}, {kind}"


def print_prediction(
    console: "Console", prediction: "Prediction", chance_error: float, target_error: float | None, test_count: int
) -> None:
    """Print the answer and its evidence, the methods, the measured errors, the check, the theory and the caveats."""
    answer = prediction.answer
    if answer.target is None:
        console.print(answer_line(answer), style="bold")
    else:
        subject = f"Error {answer.target.error:.3g} on data like the {answer.split} set"
        print_answer(console, answer.target.fields(), subject, "examples", test_count=test_count)
    if answer.error_limit is None:
        console.print(answer.diagnosis.sentence())
    console.print(answer.reason)
    if prediction.new_groups is not None:
        console.print(prediction.new_groups.sentence())
    if answer.error_limit is not None:
        _print_errors(console, prediction)
        return
    _print_methods(console, prediction, target_error)
    _print_errors(console, prediction)
    _print_held_out(console, prediction)
    if prediction.bottleneck is not None:
        _print_bottleneck(console, prediction.bottleneck)
    _print_theory(console, prediction)
    for sentence in caveats(prediction, chance_error=chance_error, target_error=target_error):
        console.print(f"Caution: {sentence}")


def round_size(size: SupportsFloat) -> str:
    """Format a number of examples with two significant digits; inf is "never".

    Examples:
        >>> round_size(3214.0), round_size(37.0), round_size(float("inf"))
        ('3,200', '37', 'never')
    """
    number = float(size)
    if not np.isfinite(number) or number < 100:
        return format_size(number)
    return format_size(float(f"{number:.2g}"))


def _print_methods(console: "Console", prediction: "Prediction", target_error: float | None) -> None:
    """Print weights, scores and sizes of the answer and of every method, best score first."""
    held_out, weights = prediction.held_out, prediction.answer.weights
    factor = held_out_factor({name: one.log_error for name, one in held_out.items()})
    methods = sorted(prediction.methods, key=lambda name: -float(held_out[name].log_score))
    sizes = {"answer": prediction.answer.size_for_error}
    sizes |= {name: prediction.refitted[name].size_for_error for name in methods}
    rows = []
    for name in ["answer", *methods]:
        one = held_out[name]
        weight = "" if name == "answer" else f"{float(weights[name]):.0%}"
        inside = f"{int(np.sum(one.inside))} of {len(np.asarray(one.inside))}"
        row = [name.replace("_", " "), weight, f"{factor[name]:.2f}", f"{float(one.log_score):.2f}", inside]
        if (size := sizes[name]) is not None:
            row += [round_size(size.value), f"{round_size(size.low)} to {round_size(size.high)}"]
        rows.append(row)
    columns = ["", "weight", "factor off", "log score", "in 90 %"]
    title = "Methods by log score at held-out sizes"
    if target_error is not None:
        columns += [f"examples for {target_error:.3g}", "90 % interval"]
        title += "; numbers of examples from the fits to all sizes"
    print_table(console, title, columns, rows)


def _print_errors(console: "Console", prediction: "Prediction") -> None:
    validation, measured, fitted = prediction.validation, prediction.measured, np.asarray(prediction.fitted)
    curve, (low, high) = prediction.answer.curve, np.asarray(prediction.answer.interval)
    grid, rows = np.asarray(curve.size), []
    last = float(np.asarray(validation.size)[-1])
    for i, size in enumerate([*np.asarray(validation.size), *(last * factor for factor in (2, 4, 10))]):
        at = int(np.argmin(np.abs(np.log(grid / float(size)))))
        cells = ["", "", ""]
        if i < len(fitted):
            cells = [
                format_percent(np.asarray(validation.train_error)[i]),
                *(
                    format_percent(np.asarray(one.error)[i], np.asarray(one.standard_error)[i])
                    for one in (validation, measured)
                    if one is not None
                ),
            ]
        answer = [
            format_percent(np.asarray(curve.error)[at]),
            f"{format_percent(low[at])} to {format_percent(high[at])}",
        ]
        rows.append([f"{grid[at]:,.0f}", *cells, *answer, "held out" if i < len(fitted) and not fitted[i] else ""])
    columns = ["examples", "train", "validation", "test", "answer", "90 % interval", ""]
    print_table(console, "Measured error in % (± one standard error), and mean error by the answer", columns, rows)


def _print_held_out(console: "Console", prediction: "Prediction") -> None:
    """Print the check of the answer: the predictions of the same mixture, fitted below half of the data."""
    left, one = ~np.asarray(prediction.fitted), prediction.held_out["answer"]
    basis = prediction.measured if prediction.paper_protocol and prediction.measured else prediction.validation
    error = np.asarray(basis.error)[left]
    counted = np.maximum(error, 0.5 / np.asarray(basis.test_count))  # no mistake counts as half of one
    predicted = counted * np.exp(np.asarray(one.log_error))
    limits = np.asarray(one.interval)
    inside = np.asarray(one.inside)
    limits = np.stack([np.where(inside & (error == 0), 0.0, limits[0]), limits[1]])  # half a mistake stands for none
    rows = [
        [
            f"{size:,.0f}",
            format_percent(error[i]),
            format_percent(predicted[i]),
            f"{format_percent(limits[0, i])} to {format_percent(limits[1, i])}",
            "yes" if inside[i] else "no",
        ]
        for i, size in enumerate(np.asarray(basis.size)[left])
    ]
    split = "test" if prediction.paper_protocol else "validation"
    columns = ["examples", "measured", "predicted", "90 % interval, with noise", "inside"]
    title = f"Check: {split} error in %, predicted by the same methods fitted below half of the data"
    print_table(console, title, columns, rows)


def _print_theory(console: "Console", prediction: "Prediction") -> None:
    """Print the dimension, the radii, and the tests of the exponents that the dimension implies."""
    radii = {n: m.parameters["radius"] for n, m in prediction.methods.items() if "radius" in m.parameters}
    radius = "; ".join(
        f"{law.replace('_', ' ')} {np.mean(value):.4g} ({np.min(value):.4g} to {np.max(value):.4g} over seeds)"
        for law, value in radii.items()
    )
    console.print(f"Effective dimension {int(prediction.dimension)}, radius: {radius}")
    rows = [
        [f"-{name}", f"{float(one.expected):.2f}", f"{np.exp(float(one.statistic)):.2f}",
         f"{np.exp(float(one.low)):.2f} to {np.exp(float(one.high)):.2f}", one.verdict]
        for name, one in prediction.exponents.items()
    ]  # fmt: skip
    exponent = float(prediction.refitted["power_law"].parameters["exponent"])
    title = f"Exponent {exponent:.2f} of the power law compared with multiples of 1/d"
    print_table(console, title, ["theory", "exponent", "measured / theory", "90 % interval", ""], rows)
    if "distances" in prediction.held_out_features:
        one = prediction.held_out_features["distances"]
        change, size = np.expm1(float(np.asarray(one.log_difference)[-1])), float(np.asarray(one.size)[-1])
        console.print(
            f"Method 'distances' with examples that are new to the network: radius {np.mean(one.held_out_radius):.4g} "
            f"instead of {np.mean(one.radius):.4g}, error {change:+.0%} at {size:,.0f} examples."
        )


def _print_bottleneck(console: "Console", sweep: "BottleneckSweep") -> None:
    curves = {"net": (sweep.accuracy, sweep.reference), "1-NN": (sweep.neighbor_accuracy, sweep.neighbor_reference)}
    rows = [
        [name, *(format_percent(1 - value) for value in np.append(np.asarray(accuracy), np.asarray(reference)))]
        for name, (accuracy, reference) in curves.items()
    ]
    losses = np.asarray(sweep.losses.low), np.asarray(sweep.losses.high)
    rows += [
        [f"loss, {side}", *map(format_percent, limit), ""] for side, limit in zip(("low", "high"), losses, strict=True)
    ]
    rows.append(["weight of d", *(f"{weight:.2f}" for weight in np.asarray(sweep.weights.weight)), ""])
    columns = ["width", *(str(width) for width in np.asarray(sweep.width)), "none"]
    print_table(console, "Validation error in % with a bottleneck", columns, rows)
    intrinsic = ", ".join(
        f"{name.replace('_', ' ')} {np.mean(estimate.value):.1f}" for name, estimate in sweep.intrinsic.items()
    )
    console.print(
        f"Dimension: {int(sweep.estimate.value)}, the smallest width that is not inferior (used here); "
        f"{int(sweep.saturation.value)}, the width at which the accuracy saturates (the paper's rule). "
        f"Intrinsic dimension of the features without a bottleneck: {intrinsic}"
    )


def print_settings(label: str, settings: Sequence[tuple[str, str, str]]) -> None:
    """Print the settings of a row with their sources, one per line."""
    print(f"Table 3 of Bisla et al. (2021), {label}; source of each setting in brackets:")
    for step, value, source in settings:
        print(f"  {step}: {value} [{source}]")


def print_row(table: Mapping[str, Any]) -> None:
    """Print the numbers of Table 3, one unwrapped line for the paper and one per seed."""

    def join(values: Sequence[float]) -> str:
        return ", ".join(f"{value:.4g}" for value in values)

    print(f"Table 3, {table['row']} (radius by law; in parentheses, divided by the spread of the features):")
    for name, one in [("paper", table["paper"]), *((f"ours, seed {i}", one) for i, one in enumerate(table["ours"]))]:
        held_out = "test" if name == "paper" else table["test_features"]
        radius = ", ".join(
            f"{law} {value:.4g} ({one['relative_radius'][law]:.3g})" for law, value in one["radius"].items()
        )
        moments = "; ".join(
            f"{part} mean {join(one[key + '_mean'])}, variances {join(one[key + '_variance'])}"
            for part, key in (("train", "train"), (held_out, "test"))
        )
        print(f"  {name}: d {one['dimension']}; radius {radius}; {moments}")
