"""Report of a predicted learning curve: the answer, every method, and measured errors."""

from collections.abc import Sequence

import numpy as np

from lcjax.curves.answer.sentences import answer_sentences
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import ERROR
from lcjax.formats import format_percent, format_size
from lcjax.plots.style import LABELS
from lcjax.reports.attachments import attach_table
from lcjax.reports.chart import Chart, Series
from lcjax.reports.page import Page
from lcjax.reports.series import target_series, visible_limits
from lcjax.studies.prediction.answer.answer import Answer
from lcjax.studies.prediction.caveats import caveats, held_out_factor
from lcjax.studies.prediction.record import Prediction
from lcjax.studies.report import Table

__all__ = ["answer_line", "prediction_page"]


def answer_line(answer: Answer) -> str:
    """Describe the error at the largest predicted size in one line.

    Args:
        answer: the answer of a prediction.

    Examples:
        >>> import numpy as np
        >>> from lcjax.curves.forecast.diagnosis import diagnose_draws
        >>> from lcjax.curves.learning_curve import LearningCurve
        >>> from lcjax.studies.prediction.answer.answer import Answer
        >>> curve, limits = LearningCurve(np.array([1e4]), np.array([0.005])), np.array([[0.004], [0.006]])
        >>> diagnosis = diagnose_draws(1e3, np.array([[0.01, 0.008, 0.005, 0.001]]))
        >>> answer_line(Answer(curve, limits, limits, None, diagnosis, {}, None, "test", ""))
        'Error at 10,000 examples: 0.50 % (90 % interval 0.40 to 0.60 %), on data like the test set.'
    """
    if answer.error_limit is not None:
        limit = format_percent(answer.error_limit)
        return f"Error: at most {limit} % with a confidence of 95 %, on data like the {answer.split} set."
    low, high = (format_percent(limit[-1]) for limit in answer.interval)
    last, error = float(np.asarray(answer.curve.size)[-1]), format_percent(np.asarray(answer.curve.error)[-1])
    limits = f"90 % interval {low} to {high} %"
    return f"Error at {last:,.0f} examples: {error} % ({limits}), on data like the {answer.split} set."


def prediction_page(
    prediction: Prediction, *, title: str, chance_error: float, test_count: int, notes: Sequence[str] = ()
) -> Page:
    """Return the report of a predicted curve.

    Args:
        prediction: the prediction.
        title: title of the page.
        chance_error: error of the best constant answer, for the caveats.
        test_count: number of test examples at hand.
        notes: further reasons for caution, such as those about the data.
    """
    answer = prediction.answer
    target = None if answer.target is None else answer.target.error
    sentences = [answer_line(answer)]
    if answer.target is not None:
        subject = f"Error {answer.target.error:.3g} on data like the {answer.split} set"
        sentences = [*answer_sentences(answer.target.fields(), subject, "examples", test_count=test_count), *sentences]
    sentences += [answer.reason] if answer.error_limit is not None else [answer.diagnosis.sentence(), answer.reason]
    if prediction.new_groups is not None:
        sentences.append(prediction.new_groups.sentence())
    doubts = [*caveats(prediction, chance_error=chance_error, target_error=target), *notes]
    measured = prediction.measured if prediction.measured is not None else prediction.validation
    tables = [_errors(prediction)] if answer.error_limit is not None else [_errors(prediction), _methods(prediction)]
    attached = attach_table(measured, "measurements.csv")
    return Page(title, sentences[0], sentences[1:], [_chart(prediction)], doubts, tables, attached)


def _chart(prediction: Prediction) -> Chart:
    answer = prediction.answer
    grid, error = np.asarray(answer.curve.size, float), np.asarray(answer.curve.error, float)
    low, high = np.asarray(answer.interval, float)
    series = [Series("90 % interval of the answer", "band", "band", grid, low, high)]
    for i, (name, method) in enumerate(prediction.shown_methods.items()):
        label = LABELS.get(name, name.replace("_", " "))
        sizes, errors = np.asarray(method.curve.size, float), np.asarray(method.curve.error, float)
        series.append(Series(label, "line", f"method-{i % 8}", sizes, errors))
    series.append(Series("answer", "line", "forecast", grid, error))
    series += _points("validation", prediction.validation, "held-out")
    if prediction.measured is not None:
        series += _points("test", prediction.measured, "measured")
    if answer.target is not None:
        marks = target_series(answer.target.size_for_error, answer.target.error, grid)
        series += [mark._replace(name="size for the target") if mark.name == "answer" else mark for mark in marks]
    size = np.asarray(prediction.validation.size, float)
    description = (
        f"Error against training examples: measured from {format_size(size.min())} to {format_size(size.max())}, "
        f"predicted by {len(prediction.methods)} methods, fitted to all sizes, and their average up to "
        f"{format_size(grid[-1])}. {answer_line(answer)}"
    )
    own = [one for one in series if not one.role.startswith("method")]
    limits = visible_limits(np.asarray(prediction.validation.error, float), own, ERROR)
    return Chart("Error, measured and predicted", description, ERROR, "examples", series, limits)


def _points(split: str, curve: LearningCurve, role: str) -> list[Series]:
    size, error = np.asarray(curve.size, float), np.asarray(curve.error, float)
    present = np.isfinite(error)
    return [Series(f"{split} error", "points", role, size[present], error[present])]


def _methods(prediction: Prediction) -> Table:
    """Return the weights of the methods and their errors at held-out sizes, in the order of the latter."""
    held_out = prediction.held_out
    factors = held_out_factor({name: one.log_error for name, one in held_out.items()})
    rows = []
    for name, factor in factors.items():
        one = held_out[name]
        weight = "" if name == "answer" else f"{float(prediction.answer.weights[name]):.0%}".replace("%", " %")
        inside = f"{int(np.sum(one.inside))} of {len(np.asarray(one.inside))}"
        rows.append(
            [LABELS.get(name, name.replace("_", " ")), weight, f"{factor:.2f}", f"{float(one.log_score):.2f}", inside]
        )
    columns = ("method", "weight", "factor off", "log score", "in 90 % interval")
    return Table("Methods, fitted below half of the data, at the sizes from there on", columns, rows)


def _errors(prediction: Prediction) -> Table:
    rows = []
    validation, measured, fitted = prediction.validation, prediction.measured, np.asarray(prediction.fitted)
    for i, size in enumerate(np.asarray(validation.size)):
        row = [format_size(size), format_percent(np.asarray(validation.train_error)[i])]
        for curve in (validation, measured):
            there = curve is not None and curve.standard_error is not None
            row.append(
                format_percent(np.asarray(curve.error)[i], np.asarray(curve.standard_error)[i])
                if curve is not None and there
                else ""
            )
        rows.append([*row, "" if fitted[i] else "held out"])
    columns = ("examples", "train, %", "validation, %", "test, %", "")
    return Table("Measured errors, with one standard error", columns, rows)
