"""Lines of `runs.jsonl`: one finished run each, with the hash of its sweep and a checksum of the line."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lcjax.data.examples import Data, fingerprint
from lcjax.sealed_lines import seal_line
from lcjax.training.program import Budget
from lcjax.training.storage.run_state import Outcome

__all__ = ["check_outcome", "encode_line", "outcome_of"]

_CURVES = ("train_loss", "train_error", "validation_loss", "validation_error")
_SCORES = ("test_loss", "test_error")
_WRONG = ("validation_wrong", "wrong")


def encode_line(sweep: str, row: int, outcome: Outcome) -> bytes:
    """Return the line of a run; its variables enter by their hash, so that only the file written with it fits."""
    fields = {
        "sweep": sweep,
        "run": row,
        "status": outcome.status,
        "steps": outcome.steps,
        **{name: getattr(outcome, name) for name in ("recorded_step", *_CURVES, *_SCORES)},
        **{name: np.flatnonzero(getattr(outcome, name)) for name in _WRONG},
        "variables": None if outcome.variables is None else fingerprint(outcome.variables),
    }
    return seal_line(fields)


def outcome_of(fields: Mapping[str, Any], data: Data) -> Outcome:
    """Return the outcome in the fields of a line, without its variables.

    Raises:
        Exception: a field is absent or of another type.
    """
    counts = {"validation_wrong": data.validation.targets, "wrong": () if data.test is None else data.test.targets}
    wrong: dict[str, Any] = {}
    for name, targets in counts.items():
        wrong[name] = np.zeros(len(targets), bool)
        wrong[name][[_integer(place) for place in fields[name]]] = True
    numbers: dict[str, Any] = {name: [_number(value) for value in fields[name]] for name in _CURVES}
    numbers |= {name: _number(fields[name]) for name in _SCORES}
    return Outcome(
        status=_integer(fields["status"]),
        steps=_integer(fields["steps"]),
        recorded_step=[_integer(step) for step in fields["recorded_step"]],
        **numbers,
        **wrong,
    )


def check_outcome(outcome: Outcome, budget: Budget, steps: int) -> None:
    """Check an outcome of a run with a budget of `steps` steps.

    Raises:
        ValueError: no such run has this outcome.
    """
    if outcome.status not in (0, 1):
        raise ValueError(f"status {outcome.status} is neither 0 nor 1")
    if not 0 <= outcome.steps <= steps or (outcome.status == 0 and not budget.may_stop and outcome.steps < steps):
        raise ValueError(f"{outcome.steps} steps are not the {steps} of its budget")
    planned = [-(-steps * i // budget.records) for i in range(1, budget.records + 1)]
    recorded = outcome.recorded_step
    pairs = enumerate(zip(recorded, planned, strict=False))
    reached = next((i for i, (step, plan) in pairs if step != plan), len(planned))
    rest = set(recorded[reached:])  # a run that stops early repeats its last step, or its best one
    if len(recorded) != len(planned) or len(rest) > 1 or not rest <= set(planned[:reached]):
        raise ValueError(f"recorded steps {recorded} are not those of {budget}")
    for name in _CURVES:
        if len(getattr(outcome, name)) != len(recorded):
            raise ValueError(f"{name} does not have {len(recorded)} values")
    errors = [*outcome.train_error, *outcome.validation_error, outcome.test_error]
    if any(error < 0 for error in errors):
        raise ValueError(f"an error of {min(errors)} is negative")
    if outcome.status == 0 and not all(map(math.isfinite, outcome.train_loss)):
        raise ValueError("the training loss of a run that did not fail is not finite")


def _integer(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError(f"{value!r} is not a count")
    return value


def _number(value: object) -> float:
    """Return a number as `to_dict` writes it."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not (isinstance(value, int | float) or value in ("inf", "-inf")):
        raise ValueError(f"{value!r} is not a number")
    return float(value)
