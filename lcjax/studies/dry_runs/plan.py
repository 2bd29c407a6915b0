"""Dry runs: the trainings that a study would start with, their steps, time, memory and disk space."""

import contextlib
import contextvars
import dataclasses
import math
from collections.abc import Iterator, Mapping

from lcjax.formats import format_size

__all__ = ["Plan", "Planned", "is_dry", "plan_only"]

_dry: contextvars.ContextVar[bool] = contextvars.ContextVar("_dry", default=False)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Trainings that a study would start with.

    Attributes:
        stage: name of the stage.
        trainings: number of trainings.
        finished: number of those whose results are stored.
        steps: optimizer steps of the others together; None where they are not known.
        seconds: estimated wall-clock time of the others; None where it is not known.
        basis: basis of the estimate in words, or the reason why there is none.
        memory: bytes for data, parameters, gradients and optimizer states of concurrent trainings; None if not known.
        disk: bytes that will be stored; None if not known.
        details: further facts by name, such as the number of parameters of each model.
        is_first: True if further trainings depend on the results of these.
    """

    stage: str
    trainings: int
    finished: int
    steps: int | None
    seconds: float | None
    basis: str
    memory: int | None = None
    disk: int | None = None
    details: Mapping[str, object] = dataclasses.field(default_factory=dict)
    is_first: bool = False

    def fields(self) -> dict[str, object]:
        """Return the plan as plain data for JSON."""
        return vars(self)

    def sentences(self) -> list[str]:
        """Return the plan in words.

        Examples:
            >>> Plan("train", 36, 12, 48000, 95.0, "steps timed on this machine", 2_000_000, 30_000).sentences()[0]
            'Dry run: 36 trainings, 12 of which are stored; 24 are left, 48,000 optimizer steps together.'
        """
        left = self.trainings - self.finished
        stored = f", {self.finished} of which are stored; {left} are left" if self.finished else ""
        steps = "" if self.steps is None else f", {self.steps:,} optimizer steps together"
        count = f"{self.trainings:,} training{'s' if self.trainings != 1 else ''}"
        sentences = [f"Dry run: {count}{stored}{steps}."]
        if not left:
            return [f"Dry run: all {count} are stored; the results would be computed from them."]
        sentences += [f"{name[0].upper()}{name[1:]}: {value}." for name, value in self.details.items()]
        if self.seconds is None:
            sentences.append(f"Time: not known before the first training; {self.basis}.")
        else:
            sentences.append(f"Time: about {_duration(self.seconds)}, from {self.basis}.")
        if self.memory is not None:
            sentences.append(f"Memory: about {_bytes(self.memory)} without activations and the compiler.")
        if self.disk is not None:
            sentences.append(f"Disk: about {_bytes(self.disk)}.")
        if self.is_first:
            sentences.append("Trainings that depend on the results of these, or follow them, are not counted.")
        return sentences


class Planned(Exception):  # noqa: N818  # the normal end of a dry run
    """The end of a dry run, with its plan.

    Attributes:
        plan: the plan.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.stage)
        self.plan = plan


@contextlib.contextmanager
def plan_only() -> Iterator[None]:
    """Let studies in the `with` block raise `Planned` where they would start to train.

    Examples:
        >>> with plan_only():
        ...     is_dry()
        True
    """
    token = _dry.set(True)
    try:
        yield
    finally:
        _dry.reset(token)


def is_dry() -> bool:
    """Return True inside `plan_only`.

    Examples:
        >>> is_dry()
        False
    """
    return _dry.get()


def _duration(seconds: float) -> str:
    for length, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.2g} {name}"
    return f"{max(1, math.ceil(seconds))} s"


def _bytes(count: int) -> str:
    for power, name in ((9, "GB"), (6, "MB"), (3, "kB")):
        if count >= 10**power:
            return f"{format_size(float(f'{count / 10**power:.2g}'))} {name}"
    return f"{count} bytes"
