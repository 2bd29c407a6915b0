"""Tables of `lcjax predict`: the prediction, and a row of Table 3 of Bisla et al. (2021)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lcjax.cli.output import format_percent, format_size, print_table
from lcjax.studies.prediction.caveats import caveats, held_out_factor

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.data.examples import Data
    from lcjax.studies.prediction.bottlenecks import BottleneckSweep
    from lcjax.studies.prediction.record import Prediction

__all__ = ["describe_data", "print_prediction", "print_row", "print_settings"]


def describe_data(name: str, data: "Data") -> str:
    """Return the numbers of examples, the shape of the inputs and the kind of the targets in one line."""
    sizes = [len(part.targets) for part in (data.train, data.validation, data.test) if part is not None]
    parts = " / ".join(f"{size:,}" for size in sizes)
    shape = "x".join(str(side) for side in data.train.inputs.shape[1:])
    kind = f"{data.classes} classes" if data.classes else f"regression, wrong if off by more than {data.tolerance:g}"
    return f"{name}: {parts} training / validation / test examples, inputs {shape}, {kind}"


def print_prediction(
    console: "Console", prediction: "Prediction", chance_error: float, target_error: float | None
) -> None:
    """Print predicted and measured errors, their differences, the parameters, the sizes for the target and caveats."""
    methods = {method: method.replace("_", " ") for method in prediction.methods}
    _print_errors(console, prediction, methods)
    sizes = [f"{size:,}" for size in np.asarray(prediction.validation.size)[~np.asarray(prediction.fitted)]]
    excess = {name: np.expm1(np.asarray(prediction.held_out_log_error[method])) for method, name in methods.items()}
    rows = [
        [name, *(f"{value:+.0%}" if np.isfinite(value) else "–" for value in values)] for name, values in excess.items()
    ]
    print_table(console, "Predicted minus measured test error, relative, at held-out sizes", ["", *sizes], rows)
    if prediction.bottleneck is not None:
        _print_bottleneck(console, prediction.bottleneck)
    radii = {n: m.parameters["radius"] for n, m in prediction.methods.items() if "radius" in m.parameters}
    radius = "; ".join(
        f"{law} {np.mean(value):.4g} ({np.min(value):.4g} to {np.max(value):.4g} over seeds)"
        for law, value in radii.items()
    )
    exponent = prediction.exponent
    console.print(f"Effective dimension {int(prediction.dimension)}, radius: {radius}")
    console.print(f"Exponent of the power law {exponent:.2f}, the theory's at dimension {-1 / exponent:.1f}")
    if target_error is not None:
        factor = held_out_factor(prediction.held_out_log_error)
        rows = []
        for method in factor or methods:  # the most accurate first
            answer = prediction.methods[method].size_for_error
            assert answer is not None
            interval = f"{format_size(float(answer.low))} to {format_size(float(answer.high))}"
            off = f"{factor[method]:.2f}" if np.isfinite(factor.get(method, np.nan)) else "–"
            rows.append([methods[method], format_size(float(answer.value)), interval, off])
        title = f"Examples for an error of {target_error:.3g}, most accurate method on held-out sizes first"
        print_table(console, title, ["", "examples", "90 %, if the method holds", "factor off, held out"], rows)
    for sentence in caveats(prediction, chance_error=chance_error, target_error=target_error):
        console.print(f"Caution: {sentence}")


def _print_errors(console: "Console", prediction: "Prediction", methods: Mapping[str, str]) -> None:
    validation, measured, fitted = prediction.validation, prediction.measured, np.asarray(prediction.fitted)
    curves = [prediction.methods[method].curve for method in methods]
    grid = np.asarray(curves[0].size)
    rows = []
    for i, size in enumerate([*np.asarray(validation.size), grid[-1]]):
        at = int(np.searchsorted(grid, size))
        cells = ["", "", ""]
        if i < len(fitted):
            cells = [
                format_percent(np.asarray(validation.train_error)[i]),
                *(
                    format_percent(np.asarray(curve.error)[i], np.asarray(curve.standard_error)[i])
                    for curve in (validation, measured)
                    if curve is not None
                ),
            ]
        predicted = (format_percent(np.asarray(curve.error)[at]) for curve in curves)
        rows.append([f"{size:,.0f}", *cells, *predicted, "fit" if i < len(fitted) and fitted[i] else ""])
    columns = ["examples", "train", "validation", "test", *methods.values(), ""]
    print_table(console, "Error in % (± one standard error), predicted from the sizes marked fit", columns, rows)


def _print_bottleneck(console: "Console", sweep: "BottleneckSweep") -> None:
    curves = {"net": (sweep.accuracy, sweep.reference), "1-NN": (sweep.neighbor_accuracy, sweep.neighbor_reference)}
    rows = [
        [name, *(format_percent(1 - value) for value in np.append(np.asarray(accuracy), np.asarray(reference)))]
        for name, (accuracy, reference) in curves.items()
    ]
    columns = ["width", *(str(width) for width in np.asarray(sweep.width)), "none"]
    print_table(console, "Validation error in % with a bottleneck", columns, rows)
    intrinsic = ", ".join(
        f"{name.replace('_', ' ')} {np.mean(estimate.value):.1f}" for name, estimate in sweep.intrinsic.items()
    )
    console.print(f"Intrinsic dimension of the same features: {intrinsic}")


def print_settings(label: str, settings: Sequence[tuple[str, str, str]]) -> None:
    """Print the settings of a row, one per line, and their source."""
    print(f"Table 3 of Bisla et al. (2021), {label}; source of each setting in brackets:")
    for step, value, source in settings:
        print(f"  {step}: {value} [{source}]")


def print_row(table: Mapping[str, Any]) -> None:
    """Print the numbers of Table 3, one unwrapped line for the paper and one for each seed."""

    def join(values: Sequence[float]) -> str:
        return ", ".join(f"{value:.4g}" for value in values)

    print(f"Table 3, {table['row']} (radius by law; in brackets, divided by the spread of the features):")
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
