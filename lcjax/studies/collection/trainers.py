"""Trainers: functions of a seed and the training examples to use, estimators of scikit-learn, and commands."""

import contextlib
import copy
import dataclasses
import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Int

from lcjax.data.examples import Data
from lcjax.records import parse_json
from lcjax.text import printable
from lcjax.user_code import hash_value

__all__ = ["Command", "Estimator", "Trainer", "check_values", "end_commands", "identify"]

Trainer: TypeAlias = Callable[[int, Int[np.ndarray, " n"]], Mapping[str, float]]
"""Function of a seed and the numbers of the training examples to use, which returns the value of each metric."""

_PLACE = re.compile(r"\{(size|seed|indices)\}")
_SHOWN = 500  # characters of the output of a command that failed
_running: set["subprocess.Popen[str]"] = set()  # commands that have not ended


@dataclasses.dataclass(frozen=True)
class Command:
    """A command that trains and prints a line of JSON; its numbers are the metrics.

    `{size}`, `{seed}` and `{indices}` in its words are replaced: by the number of training examples, the seed, and the
    name of a text file with the number of one training example on each line, from 0. The last line of the output that
    is a JSON object is read; its numbers, and those in objects within it as `outer.inner`, are the metrics.

    Attributes:
        words: the program and its arguments; no shell is involved.
        timeout: seconds after which a training is ended, or None.
        folder: folder in which it runs; the current one by default.

    Raises:
        ValueError: there is no word, or neither `{size}` nor `{indices}` occurs.

    Examples:
        >>> import sys
        >>> script = "import json, sys; print(json.dumps({'error': 1 / int(sys.argv[1])}))"
        >>> Command((sys.executable, "-c", script, "{size}"))(0, np.arange(4))
        {'error': 0.25}
    """

    words: tuple[str, ...]
    timeout: float | None = None
    folder: str | None = None

    def __post_init__(self) -> None:
        places = {place for word in self.words for place in _PLACE.findall(word)}
        if not self.words or not places & {"size", "indices"}:
            raise ValueError(
                "The command must contain {size} or {indices}, which tell it how many training examples to use, got "
                f"{' '.join(self.words)!r}."
            )

    @property
    def takes_indices(self) -> bool:
        """True if `{indices}` occurs in the words."""
        return any("{indices}" in word for word in self.words)

    def __call__(self, seed: int, indices: Int[np.ndarray, " n"]) -> dict[str, float]:
        """Run the command and return its metrics.

        Raises:
            ValueError: it cannot be started, fails, takes longer than the timeout, or prints no metric.
        """
        with tempfile.TemporaryDirectory(prefix="lcjax-") as scratch:
            file = Path(scratch, "indices.txt")
            if self.takes_indices:
                file.write_text("".join(f"{index}\n" for index in indices))
            values = {"size": str(len(indices)), "seed": str(seed), "indices": str(file)}
            words = [_PLACE.sub(lambda match: values[match[1]], word) for word in self.words]
            return self._run(words)

    def _run(self, words: list[str]) -> dict[str, float]:
        name = printable(" ".join(words))
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                errors="replace", cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise ValueError(f"{name}: it cannot be started: {error.strerror or error}.") from None
        _running.add(process)
        with process:  # closes the pipes
            try:
                out, err = process.communicate(timeout=self.timeout)
            except subprocess.TimeoutExpired:
                raise ValueError(f"{name}: it took longer than {self.timeout:g} seconds.") from None
            finally:
                _end(process)
                _running.discard(process)
        if process.returncode:
            said = printable(" ".join((err.strip() or out.strip())[-_SHOWN:].split()))
            raise ValueError(f"{name}: it ended with exit code {process.returncode}: {said or 'no output'}")
        for line in reversed(out.splitlines()):
            metrics = _read_line(line)
            if metrics:
                return metrics
        raise ValueError(f'{name}: its output has no line of JSON with a number, such as {{"error": 0.1}}.')


def end_commands() -> None:
    """End all commands that are running, with the processes that they have started."""
    for process in list(_running):
        _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _read_line(line: str) -> dict[str, float]:
    """Return the numbers of a JSON object; nothing from any other line."""
    if not line.lstrip().startswith("{"):
        return {}
    try:
        fields = parse_json(line.encode())
    except ValueError:
        try:  # Python's own writer, which spells nan
            fields = json.loads(line)
        except (ValueError, RecursionError):
            return {}
    return _numbers(fields, "") if isinstance(fields, dict) else {}


def _numbers(fields: Mapping[str, Any], outer: str) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            numbers |= _numbers(value, f"{outer}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers[f"{outer}{name}"] = float(value)
    return numbers


@dataclasses.dataclass(frozen=True)
class Estimator:
    """An estimator of scikit-learn, or any object with `fit`, that is scored on the test split of a data set.

    Attributes:
        estimator: estimator, cloned for each training; its `random_state`, if it has one, becomes the seed.
        data: data set; inputs are flattened to `(n, d)`.
        scoring: names of scikit-learn's scorers, such as "balanced_accuracy"; by default "accuracy" for classes and
            "neg_root_mean_squared_error" for regression, which is reported as "rmse".

    Raises:
        ValueError: the data have no test split.
    """

    estimator: Any
    data: Data
    scoring: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.data.test is None:
            raise ValueError(f"The data {self.data.name!r} have no test split to score on.")

    def __call__(self, seed: int, indices: Int[np.ndarray, " n"]) -> dict[str, float]:
        """Fit a clone to some training examples and score it on the test split."""
        from sklearn.base import clone
        from sklearn.metrics import get_scorer

        assert self.data.test is not None
        model = clone(self.estimator) if hasattr(self.estimator, "get_params") else copy.deepcopy(self.estimator)
        if "random_state" in getattr(model, "get_params", dict)():
            model.set_params(random_state=seed)
        inputs, targets = (np.asarray(part) for part in (self.data.train.inputs, self.data.train.targets))
        model.fit(inputs[indices].reshape(len(indices), -1), targets[indices])
        tests = np.asarray(self.data.test.inputs).reshape(len(self.data.test.targets), -1)
        usual = ("accuracy",) if self.data.classes else ("neg_root_mean_squared_error",)
        values = {}
        for name in self.scoring or usual:
            value = float(get_scorer(name)(model, tests, np.asarray(self.data.test.targets)))
            values[_SHORT.get(name, name.removeprefix("neg_"))] = -value if name.startswith("neg_") else value
        return values


_SHORT = {
    "neg_root_mean_squared_error": "rmse",
    "neg_mean_absolute_error": "mae",
    "neg_mean_squared_error": "mse",
    "neg_log_loss": "log_loss",
    "roc_auc": "auc",
}


def check_values(values: object) -> dict[str, float]:
    """Return the metrics that a trainer has returned.

    Raises:
        ValueError: it is not a mapping from names to numbers, or there is none.

    Examples:
        >>> check_values({"error": np.float32(0.5)})
        {'error': 0.5}
        >>> check_values(0.5)
        Traceback (most recent call last):
        ValueError: A trainer must return its metrics by name, such as {"error": 0.1}, got 0.5.
    """
    if not isinstance(values, Mapping) or not values or not all(isinstance(name, str) for name in values):
        raise ValueError(f'A trainer must return its metrics by name, such as {{"error": 0.1}}, got {values!r}.')
    try:
        return {name: float(np.asarray(value).reshape(())) for name, value in values.items()}
    except (TypeError, ValueError):
        raise ValueError(f"The metrics of a trainer must be numbers, got {values!r}.") from None


def identify(trainer: Trainer) -> dict[str, object]:
    """Return what identifies a trainer in another process: its words, its parameters, or its code.

    Examples:
        >>> identify(Command(("train", "{size}")))
        {'command': ['train', '{size}']}
    """
    if isinstance(trainer, Command):
        return {"command": list(trainer.words)}
    if isinstance(trainer, Estimator):
        one = trainer.estimator
        parameters = one.get_params() if hasattr(one, "get_params") else vars(one)
        kind = f"{type(one).__module__}.{type(one).__qualname__}"
        return {
            "estimator": kind,
            "parameters": {name: repr(value) for name, value in sorted(parameters.items())},
            "scoring": list(trainer.scoring),
            "data": trainer.data.fingerprint(),
        }
    return {"function": getattr(trainer, "__qualname__", type(trainer).__qualname__), "code": hash_value(trainer)}
