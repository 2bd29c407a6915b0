"""Commands that train once and print their metrics."""

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import Int

from lcjax.studies.collection.trainers.metric_files import parse_object, read_metrics
from lcjax.text import printable

__all__ = ["Command", "end_commands"]

_PLACE = re.compile(r"\{(size|seed|indices|output|folder)\}")
_SHOWN = 500  # characters of the output of a command that failed
_running: set["subprocess.Popen[str]"] = set()  # commands that have not ended


@dataclasses.dataclass(frozen=True)
class Command:
    """A command that trains and prints a line of JSON; its numbers are the metrics.

    `{size}`, `{seed}` and `{indices}` in its words are replaced: by the number of training examples, the seed, and the
    name of a text file with the index of one training example per line, from 0. The last line of the output that
    is a JSON object is read; its numbers, and those in objects within it as `outer.inner`, are the metrics. With
    `metrics_from`, they are read from what the command writes; `{folder}` is an empty folder of each training, removed
    afterwards, and `{output}` the name of a file in it.

    Attributes:
        words: the program and its arguments; no shell is involved.
        timeout: time limit of one training in seconds, or None.
        folder: folder in which it runs; the current one by default.
        metrics_from: file or folder with the metrics (`lcjax.studies.collection.trainers.metric_files`), such as
            "{output}" or "{folder}/metrics.csv"; `{size}` and `{seed}` are replaced too.

    Raises:
        ValueError: there is no word, neither `{size}` nor `{indices}` occurs, or only one of the words and
            `metrics_from` has `{output}` or `{folder}`.

    Examples:
        >>> import sys
        >>> script = "import json, sys; print(json.dumps({'error': 1 / int(sys.argv[1])}))"
        >>> Command((sys.executable, "-c", script, "{size}"))(0, np.arange(4))
        {'error': 0.25}
    """

    words: tuple[str, ...]
    timeout: float | None = None
    folder: str | None = None
    metrics_from: str | None = None

    def __post_init__(self) -> None:
        places = {place for word in self.words for place in _PLACE.findall(word)}
        if not self.words or not places & {"size", "indices"}:
            raise ValueError(
                "The command must contain {size} or {indices}, which tell it how many training examples to use, got "
                f"{' '.join(self.words)!r}."
            )
        own = {"output", "folder"}
        read = set(_PLACE.findall(self.metrics_from or ""))
        if bool(places & own) != bool(read & own):
            raise ValueError(
                "The command and --metrics-from must both contain {output} or {folder}, where the command writes and "
                f"its metrics are read, got {' '.join(self.words)!r} and {self.metrics_from!r}."
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
            file, own = Path(scratch, "indices.txt"), Path(scratch, "run")
            own.mkdir()
            if self.takes_indices:
                file.write_text("".join(f"{index}\n" for index in indices))
            values = {
                "size": str(len(indices)), "seed": str(seed), "indices": str(file), "folder": str(own),
                "output": str(own / "output"),
            }  # fmt: skip

            def fill(text: str) -> str:
                return _PLACE.sub(lambda match: values[match[1]], text)

            words = [fill(word) for word in self.words]
            if self.metrics_from is None:
                return self._read_output(words, self._run(words))
            path = Path(self.folder or ".", fill(self.metrics_from))
            before = _last_change(path)
            self._run(words)
            if path.exists() and _last_change(path) == before:
                raise ValueError(f"{printable(' '.join(words))}: it ended without writing {path}.")
            return read_metrics(path)

    def _run(self, words: list[str]) -> str:
        """Run the command to its end and return its output."""
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
        return out

    @staticmethod
    def _read_output(words: list[str], out: str) -> dict[str, float]:
        for line in reversed(out.splitlines()):
            metrics = parse_object(line)
            if metrics:
                return metrics
        name = printable(" ".join(words))
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


def _last_change(path: Path) -> int | None:
    """Return when a file, or anything in a folder, was last changed, in nanoseconds; None if it does not exist."""
    if not path.exists():
        return None
    inside = path.rglob("*") if path.is_dir() else ()
    times: list[int] = [file.stat().st_mtime_ns for file in (path, *inside)]
    return max(times)
