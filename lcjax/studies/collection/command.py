"""Commands that train once and print their metrics."""

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from lcjax.records import parse_json
from lcjax.text import printable

__all__ = ["Command", "end_commands"]

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
