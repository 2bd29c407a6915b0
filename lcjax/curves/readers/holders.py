"""Learning curves in the records that hold them: tables of curves, and collections that return one."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool

from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import Metric

__all__ = ["CurveSource", "HasCurve", "HasCurves", "common_metric", "curve_of", "name_curves", "single_curve"]


@runtime_checkable
class HasCurve(Protocol):
    """A table of b curves, such as the `CurveTable` of `lcjax.read_curves`."""

    @property
    def curve(self) -> LearningCurve:
        """Return the curves, of sizes and errors `(b, s)`."""

    @property
    def fitted(self) -> Bool[np.ndarray, "b s"]:
        """Return True for sizes to fit, False for held-out ones."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the curves."""


@runtime_checkable
class HasCurves(Protocol):
    """A collection that returns a table of its main metric, such as the `Measurements` of `lcjax.collect`."""

    @property
    def curves(self) -> Callable[[], HasCurve]:
        """Return a method that returns the table."""


CurveSource: TypeAlias = LearningCurve | HasCurve | HasCurves
"""A learning curve, or a record that holds one."""


def curve_of(source: CurveSource) -> tuple[LearningCurve, tuple[str, ...]]:
    """Return the curves in a record, without held-out sizes, and their names.

    Args:
        source: a learning curve, which is returned as it is; a table of b curves; or a collection, which has one.

    Returns:
        Curve of a collection, `(s,)`, of a table, `(b, s)`; and the names of the table, of which a single one may be
        empty; `()` for a learning curve.

    Raises:
        ValueError: the object holds no learning curve.

    Examples:
        >>> import lcjax as lc
        >>> curve, names = curve_of(lc.read_curves({"size": [100, 200], "mlp": [0.4, 0.3], "lenet": [0.3, 0.2]}))
        >>> curve.error.tolist(), names
        ([[0.4, 0.3], [0.3, 0.2]], ('mlp', 'lenet'))
    """
    if isinstance(source, LearningCurve):
        return source, ()
    holder: Any = source
    if callable(getattr(holder, "curves", None)):
        table = holder.curves()
        return single_curve(curve_of(table)[0]), table.names
    if not isinstance(getattr(holder, "curve", None), LearningCurve) or not isinstance(holder, HasCurve):
        raise ValueError(
            "Pass a learning curve, the table of lcjax.read_curves or the measurements of lcjax.collect, "
            f"got {type(source).__name__}."
        )
    curve, fitted = holder.curve, holder.fitted
    if np.all(fitted | np.isnan(np.asarray(curve.error, float))):
        return curve, holder.names
    error = np.where(fitted, curve.error, np.nan)
    replicates = None if curve.replicates is None else np.where(fitted[:, None], curve.replicates, np.nan)
    parts = curve.size, error, None, replicates, None, curve.test_count, curve.sampling_error
    return LearningCurve(*parts), holder.names


def common_metric(sources: Mapping[str, object]) -> Metric | None:
    """Return the metric of tables and collections, or None if all sources are curves, which are errors of any metric.

    Args:
        sources: records by name.

    Raises:
        ValueError: two of them have different metrics.

    Examples:
        >>> import lcjax as lc
        >>> table = lc.read_curves({"size": [100, 200], "accuracy": [0.6, 0.7]})
        >>> common_metric({"a": table, "b": table.curve}).name
        'accuracy'
    """
    found: dict[str, tuple[str, Metric]] = {}
    for name, source in sources.items():
        holder: Any = source
        table = holder.curves() if callable(getattr(holder, "curves", None)) else holder
        metric = getattr(table, "metric", None)
        if isinstance(metric, Metric):
            found.setdefault(metric.name, (name, metric))
    if len(found) > 1:
        listed = ", ".join(f"{metric} of {name!r}" for metric, (name, _) in found.items())
        raise ValueError(f"The curves have different metrics: {listed}. Pass curves of one metric.")
    return next((metric for _, metric in found.values()), None)


def single_curve(curve: LearningCurve, name: str = "") -> LearningCurve:
    """Return a curve without a batch axis of length 1.

    Args:
        curve: learning curve, `(s,)` or `(1, s)`.
        name: its name, for messages.

    Raises:
        ValueError: it is a batch of several curves.

    Examples:
        >>> single_curve(LearningCurve(np.array([10.0, 20.0]), np.array([[0.4, 0.3]]), test_count=np.array([50]))).error
        array([0.4, 0.3])
    """
    batch = np.shape(curve.error)[:-1]
    if not batch:
        return curve
    if np.prod(batch, dtype=int) != 1:
        label = f"The curve {name!r}" if name else "The curve"
        raise ValueError(
            f"{label} is a batch of curves, with errors of shape {np.shape(curve.error)}: pass one curve by name."
        )
    parts = _parts(curve)
    axes = (1, 1, 1, 2, 1, 0, 1)
    rows = [a if a is None else np.reshape(a, np.shape(a)[np.ndim(a) - n :]) for a, n in zip(parts, axes, strict=True)]
    return LearningCurve(*rows)  # type: ignore[arg-type]


def name_curves(curves: Mapping[str, CurveSource] | HasCurve) -> dict[str, LearningCurve]:
    """Return single curves by name.

    Args:
        curves: a curve or a record with one curve by name; or a table with the names of its curves.

    Raises:
        ValueError: a record holds several curves, or none; or a table does not name its curves.

    Examples:
        >>> import lcjax as lc
        >>> table = lc.read_curves({"size": [100, 200], "mlp": [0.4, 0.3], "lenet": [0.3, 0.2]})
        >>> {name: curve.error.tolist() for name, curve in name_curves(table).items()}
        {'mlp': [0.4, 0.3], 'lenet': [0.3, 0.2]}
    """
    if isinstance(curves, Mapping):
        return {str(name): single_curve(curve_of(source)[0], str(name)) for name, source in curves.items()}
    curve, names = curve_of(curves)
    if not all(names) or len(set(names)) < len(names) or not names:
        raise ValueError('The curves have no names: pass them by name, such as {"mlp": first, "lenet": second}.')
    return dict(zip(names, _rows(curve), strict=True))


def _rows(curve: LearningCurve) -> Iterator[LearningCurve]:
    """Yield the curves of a batch."""
    parts = _parts(curve)
    count = len(np.asarray(curve.error))
    rows = [itertools.repeat(None) if part is None else iter(np.asarray(part)) for part in parts]
    for _ in range(count):
        yield LearningCurve(*(next(row) for row in rows))  # type: ignore[arg-type]


def _parts(curve: LearningCurve) -> tuple[Any, ...]:
    """Return the fields of a curve in their order."""
    return tuple(getattr(curve, field.name) for field in dataclasses.fields(curve))
