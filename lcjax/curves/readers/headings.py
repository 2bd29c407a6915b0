"""Headings of tables of curves in words: size, metric, part of the data, spread, or the name of a curve."""

import dataclasses
import functools
import re

from lcjax.curves.metrics import ALIASES, METRICS, Metric

__all__ = ["Heading", "curve_label", "is_error", "parse_heading"]

_WORD = re.compile(r"[^\W_]+|[%±+]")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TRACKER = re.compile(r"(config|params?|hparams|summary|metrics|tags)[./]", re.IGNORECASE)
_ALIASES = {
    "error": ("misclassification", "misclassification rate", "zero one loss"),
    "cer": ("character error rate",),
    "cross_entropy": ("xent",),
    "auc": ("area under the curve",),
    "f1": ("f 1",),
    "r2": ("r 2", "r squared"),
}
_PARTS = {
    **dict.fromkeys(("test", "heldout"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval", "evaluation"), "validation"),
    **dict.fromkeys(("train", "training"), "train"),
}
_SPREADS = {
    *("std", "stdev", "stddev", "sd", "stderr", "sterr", "se", "sem", "deviation", "variance", "var", "ci", "±", "+"),
    *("min", "max", "low", "high", "lower", "upper", "iqr", "q05", "q25", "q75", "q95"),
}
_FILLERS = {"mean", "avg", "average", "final", "last", "top1", "score", "rate", "overall"}
_TOP = re.compile(r"\btop[-_ ]?1\b", re.IGNORECASE)
# Words of a heading of sizes, of which one at least is a unit, or says that it is a number.
_OF_SIZES = {
    *("train", "training", "trained", "set", "data", "dataset", "subset", "sample", "example", "of", "the", "labeled"),
    *("labelled", "seen"),
}
_UNITS = {
    *("examples", "samples", "images", "tokens", "instances", "sentences", "rows", "points", "records", "documents"),
    *("size", "sizes", "n", "num", "number", "count", "ntrain", "nsamples", "nexamples", "trainsize", "samplesize"),
}
_LONGEST = 200  # characters of a heading that are read
_VAGUE = {("num",), ("number",), ("count",), ("n", "of"), ("size", "of")}
_TIME = {"step", "steps", "epoch", "epochs", "iteration", "iterations", "iter", "updates"}


@dataclasses.dataclass(frozen=True)
class Heading:
    """A heading in words.

    Attributes:
        words: its words in lower case, without the prefix of a tracker.
        is_size: True if it can be a number of training examples.
        is_time: True if it counts steps or epochs of a training.
        metric: name of the metric in it, or "".
        part: part of the data on which the metric was measured: "test", "validation", "train" or "".
        rest: other words, such as the name of a model.
        is_spread: True for a standard deviation, a standard error or a limit.
        is_percent: True if it says that values are percentages.
    """

    words: tuple[str, ...]
    is_size: bool = False
    is_time: bool = False
    metric: str = ""
    part: str = ""
    rest: tuple[str, ...] = ()
    is_spread: bool = False
    is_percent: bool = False

    @property
    def text(self) -> str:
        """The words with spaces between."""
        return " ".join(self.words)


def is_error(metric: Metric) -> bool:
    """Return True for a metric that is its own error: a loss that falls, at best to 0."""
    return not metric.rises and metric.best == 0 and metric.transform == "identity"


@functools.cache
def _metric_words() -> dict[tuple[str, ...], str]:
    table = {tuple(name.split("_")): name for name in METRICS}
    table |= {(name.replace("_", ""),): name for name in METRICS}
    table |= {tuple(alias.split("_")): name for alias, name in ALIASES.items()}
    table |= {tuple(alias.split()): name for name, aliases in _ALIASES.items() for alias in aliases}
    return dict(sorted(table.items(), key=lambda item: -len(item[0])))


def parse_heading(text: str) -> Heading:
    """Return a heading in words.

    Examples:
        >>> parse_heading("summary.test_error").metric, parse_heading("n_train").is_size
        ('error', True)
        >>> heading = parse_heading("mlp valAccuracy (%)")
        >>> heading.metric, heading.part, heading.rest, heading.is_percent
        ('accuracy', 'validation', ('mlp',), True)
    """
    bare = _TOP.sub("top1", _strip_tracker(text[:_LONGEST]))
    words = tuple(_WORD.findall(_CAMEL.sub(" ", bare).lower()))
    percent = {"%", "percent", "pct", "percentage"} & set(words)
    plain = tuple(word for word in words if word not in percent)
    if _is_size(plain):
        return Heading(words, is_size=True)
    if set(plain) & _TIME:
        return Heading(words, is_time=True, rest=plain)
    spread = bool(set(plain) & _SPREADS) or "standard error" in " ".join(plain)
    for key, name in _metric_words().items():
        places = [i for i in range(len(plain) - len(key) + 1) if plain[i : i + len(key)] == key]
        if places:
            others = [*plain[: places[-1]], *plain[places[-1] + len(key) :]]
            part = next((_PARTS[word] for word in others if word in _PARTS), "")
            rest = tuple(word for word in others if word not in _PARTS and word not in _FILLERS)
            return Heading(words, False, False, name, part, rest, spread, bool(percent))
    return Heading(words, rest=plain, is_spread=spread, is_percent=bool(percent))


def curve_label(text: str) -> str:
    """Return what a heading says beside its metric and part of the data: the name of a curve, or a seed.

    Examples:
        >>> curve_label("ResNet-50 - test_error"), curve_label("error_mlp"), curve_label("LeNet")
        ('ResNet-50', 'mlp', 'LeNet')
    """
    heading, label = parse_heading(text), _strip_tracker(text)
    keys = [key for key, name in _metric_words().items() if name == heading.metric]
    patterns = (r"[\W_]*".join(map(re.escape, key)) for key in keys)
    metric = next((place for pattern in patterns if (place := _last(pattern, label))), None)
    for place in (metric, *(_last(word, label) for word in _PARTS if word in heading.words)):
        if place is not None:
            label = label.replace(place, "", 1)
    return label.strip(" -_/.:|,=()%") or text


def _last(pattern: str, text: str) -> str | None:
    """Return the last match of a pattern, or None."""
    matches = re.findall(pattern, text, re.IGNORECASE)
    return matches[-1] if matches else None


def _strip_tracker(text: str) -> str:
    return _TRACKER.sub("", text, count=1) if _TRACKER.match(text) else text


def _is_size(words: tuple[str, ...]) -> bool:
    if not words or words in _VAGUE:
        return False
    return all(word in _OF_SIZES or word in _UNITS for word in words) and any(word in _UNITS for word in words)
