"""Targets of a metric: `auroc>=0.92`, or `error<=0.05` for the error of any metric."""

import dataclasses
import math
import re

from lcjax.curves.metrics import Metric, are_same

__all__ = ["Target", "parse_target"]

_EXPRESSION = re.compile(r"\s*([^\s<>=][^<>=]*?)\s*(<=|>=|<|>|=|==)\s*(\S+?)\s*", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclasses.dataclass(frozen=True)
class Target:
    """A target as given.

    Attributes:
        text: the target in messages.
        metric: name of its metric; None for a number alone, a value of the metric at hand.
        value: value of the metric.
        maximize: True for a lower limit, None where the expression does not tell.
    """

    text: str
    metric: str | None
    value: float
    maximize: bool | None

    def expression(self, metric: Metric, value: float | None = None) -> str:
        """Return the target, or another value in its place, as an expression, such as "accuracy>=0.95"."""
        name = self.metric or metric.name
        is_lower = metric.rises if self.maximize is None else self.maximize
        return f"{name}{'>=' if is_lower else '<='}{self.value if value is None else value:g}"

    def to_error(self, metric: Metric) -> float:
        """Return the target as an error of a metric.

        A target of "error" is the error of any metric, such as 1 - accuracy.

        Raises:
            ValueError: it is one of another metric, or in the other direction, or not worse than the best value.
        """
        if self.metric == "error" and metric.name != "error":
            if self.maximize:
                raise ValueError(f"{self.text}: a smaller error is better; use error<={self.value:g}.")
            if self.value <= 0:
                raise ValueError(f"{self.text}: an error must be above 0.")
            return self.value
        if self.metric is not None and not are_same(self.metric, metric.name):
            raise ValueError(
                f"{self.text} is a target of {self.metric}, but the curve is one of {metric.name}; give a target of "
                f"{metric.name}, or name the metric {self.metric} (--metric)."
            )
        if self.maximize not in (None, metric.rises):
            better, sign = ("larger", ">=") if metric.rises else ("smaller", "<=")
            raise ValueError(f"{self.text}: a {better} {metric.name} is better; use {metric.name}{sign}{self.value:g}.")
        error = float(metric.to_error(self.value))
        if not error > 0:
            side = "below" if metric.rises else "above"
            hint = ""
            if metric.rises and metric.best == 1 and 2 <= self.value < 100:
                hint = f" Did you mean {self.expression(metric, self.value / 100)}? For percentages, pass --best 100."
            best = f"the best possible {metric.name}, {metric.best:g}"
            raise ValueError(f"{self.text} must be {side} {best}, got {self.value:g}.{hint}")
        return error


def parse_target(text: str, *, option: str = "") -> Target:
    """Parse a target: METRIC<=NUMBER, METRIC>=NUMBER, or a number.

    Args:
        text: the target.
        option: name of the option, for messages, or "".

    Raises:
        ValueError: the text is not a target.

    Examples:
        >>> target = parse_target("val_auroc >= .92")
        >>> target.metric, target.value, target.maximize
        ('val_auroc', 0.92, True)
    """
    match = _EXPRESSION.fullmatch(text)
    number = match[3] if match else text.strip()
    if not _NUMBER.fullmatch(number) or math.isinf(float(number)):
        raise ValueError(f"expected METRIC<=NUMBER or METRIC>=NUMBER, got {text[:80]!r}.")
    label = f"{option} {text}".strip()
    if match is None:
        return Target(label, None, float(number), None)
    return Target(label, match[1], float(number), None if match[2].startswith("=") else match[2].startswith(">"))
