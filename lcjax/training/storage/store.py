"""A folder that keeps finished runs: a manifest, one line a run, and the variables asked for."""

import hashlib
import itertools
import json
import os
import shutil
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from lcjax.data.examples import Data
from lcjax.files import atomic_path, write_json
from lcjax.identities import name_of
from lcjax.provenance import environment
from lcjax.records import canonical_hash, from_dict, to_dict
from lcjax.training.execution.execution import Execution
from lcjax.training.runs import Runs
from lcjax.training.storage.checkpoints import Checkpoints
from lcjax.training.storage.run_state import Outcome

__all__ = ["Store", "identity"]

FORMAT = 2  # of a folder: 1 named functions by their modules
_CURVES = ("recorded_step", "train_loss", "train_error", "validation_loss", "validation_error")
_SCORES = ("test_loss", "test_error")
_WRONG = ("validation_wrong", "wrong")
_RUNS = ("programs", "program", "columns", "shards")  # of the table; the axes of a grid do not identify a sweep


class Store:
    """The folder of one sweep.

    `manifest.json` says what is trained, on what data, in which execution form, with which versions; it is there before
    the first step. `runs.jsonl` gets one line for each run that ends, `variables/ROW.npz` the variables to be kept,
    written before the line. A line cut short by a crash is dropped, with a warning, and its run is trained again. Once
    a minute the runs in the making go into `running/PROGRAM`, and a sweep that was killed goes on from there.

    The processes of one job share a folder, or have one each on their own disks: process N > 0 writes `runs-N.jsonl`,
    so that no two write one file, and each reads whatever lines it finds, by however many processes they were written.
    Process 0 must come first.

    Args:
        folder: made if it does not exist.
        parts: what identifies the sweep, by name; see `identity`.
        executions: execution of each program; those in the manifest win.
        process: index of this process in its job.
        processes: of the job.

    Raises:
        ValueError: the folder holds another sweep or one in an older format, or another process is at work in it.
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        parts: dict[str, Any],
        executions: tuple[Execution | None, ...],
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self.folder = Path(folder)
        self._process, self._processes = process, processes
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lines = self.folder / (f"runs-{process}.jsonl" if process else "runs.jsonl")
        self._lock = (self.folder / (f"lock-{process}" if process else "lock")).open("w")
        try:
            self._take(parts, executions)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another process have the folder."""
        self._lock.close()

    def _take(self, parts: dict[str, Any], executions: tuple[Execution | None, ...]) -> None:
        try:
            import fcntl
        except ImportError:  # not on Windows, where two processes must be kept apart by hand
            pass
        else:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # gone with the process, however it ends
                for path in self.folder.glob("lock-*") if self._process == 0 else ():
                    with path.open("w") as others:  # a job that has lost its process 0 may still be at work
                        fcntl.flock(others, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(
                    f"Another process is training into {self.folder}: wait, or give another folder."
                ) from None
        hashes = {name: canonical_hash(part) for name, part in parts.items()}
        manifest = self.folder / "manifest.json"
        if manifest.exists():
            try:
                held = json.loads(manifest.read_text())
                version = held.get("format", 1)
                self.executions = _executions_in(held)
                different = [name for name in hashes if held["identity"].get(name) != hashes[name]]
            except (ValueError, KeyError, TypeError, AttributeError):
                raise ValueError(f"{manifest} is not the manifest of a sweep. Give another folder.") from None
            if version != FORMAT:
                raise ValueError(
                    f"{self.folder} is in format {version}, this version reads {FORMAT}: train into another folder."
                )
            if different:
                first = _difference(held.get("runs"), to_dict(parts["runs"]), "runs")
                places = [first or name if name == "runs" else name for name in different]
                raise ValueError(
                    f"{self.folder} holds another sweep: it differs in {', '.join(places)}. Give another folder."
                )
        else:
            self.executions = executions
            described = {name: part for name, part in parts.items() if name in ("key", "runs", "data")}
            kept = {
                "format": FORMAT,
                "identity": hashes,
                "executions": executions,
                "environment": environment(),
                **described,
            }
            write_json(manifest, kept)

    def read(self, data: Data) -> dict[int, Outcome]:
        """The runs that have ended, by their place in the table."""
        outcomes = {}
        for path in sorted(self.folder.glob("runs*.jsonl")):
            number = path.stem.partition("-")[2]
            own = path == self._lines or (self._process == 0 and number.isdecimal() and int(number) >= self._processes)
            outcomes.update(self._read(path, data, repair=own))
        return outcomes

    def _read(self, path: Path, data: Data, repair: bool) -> dict[int, Outcome]:
        """The runs of one file; it is repaired by the process that writes it, or by process 0 where none does."""
        outcomes = {}
        kept = []
        text = path.read_text(errors="replace")
        for number, line in enumerate(text.splitlines(keepends=True), start=1):
            try:
                if not line.endswith("\n"):
                    raise ValueError("the line is cut short")
                row, outcome = self._decoded(json.loads(line), data)
            except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as reason:
                if repair:
                    warnings.warn(f"{path}, line {number}: {reason}; that run is trained again.", stacklevel=5)
            else:
                outcomes[row] = outcome
                kept.append(line)
        if repair and "".join(kept) != text:
            with atomic_path(path) as temporary:
                temporary.write_text("".join(kept))
        return outcomes

    def add(self, row: int, outcome: Outcome) -> None:
        """Keep a run that has ended."""
        if outcome.variables is not None:
            with atomic_path(self._variables(row)) as temporary:
                np.savez(temporary, **flatten_dict(outcome.variables, sep="/"))
        line = {
            "run": row,
            "status": outcome.status,
            "steps": outcome.steps,
            **{name: getattr(outcome, name) for name in (*_CURVES, *_SCORES)},
            **{name: np.flatnonzero(getattr(outcome, name)) for name in _WRONG},
            "variables": outcome.variables is not None,
        }
        with self._lines.open("a") as file:
            file.write(json.dumps(to_dict(line), allow_nan=False, separators=(",", ":")) + "\n")
            file.flush()
            os.fsync(file.fileno())

    @property
    def attempts(self) -> int:
        """How often the sweep was begun before, as far as there are checkpoints."""
        names = [path.name.partition("-")[0] for path in self._running.glob("*/*-*")]
        return max((1 + int(name) for name in names if name.isdecimal()), default=0)

    def checkpoints(self, program: int, attempt: int) -> Checkpoints:
        """Where the runs of one program that are in the making are kept."""
        return Checkpoints(self._running / str(program), attempt)

    def clear(self) -> None:
        """Nothing is in the making any more, in any process."""
        shutil.rmtree(self._running, ignore_errors=True)

    @property
    def _running(self) -> Path:
        return self.folder / "running"

    def _variables(self, row: int) -> Path:
        return self.folder / "variables" / f"{row:06d}.npz"

    def _decoded(self, line: dict[str, Any], data: Data) -> tuple[int, Outcome]:
        counts = {
            "validation_wrong": len(data.validation.targets),
            "wrong": 0 if data.test is None else len(data.test.targets),
        }
        wrong: dict[str, Any] = {name: np.isin(np.arange(counts[name]), line[name]) for name in _WRONG}
        curves: dict[str, Any] = {
            name: [np.nan if value is None else value for value in line[name]] for name in _CURVES
        }
        scores: dict[str, Any] = {name: np.nan if line[name] is None else line[name] for name in _SCORES}
        variables = None
        if line["variables"]:
            with np.load(self._variables(line["run"])) as arrays:
                variables = unflatten_dict(dict(arrays), sep="/")
        return line["run"], Outcome(line["status"], line["steps"], **curves, **scores, **wrong, variables=variables)


def identity(
    key: jax.Array, data: Data, runs: Runs, initial: list[Any], mask: list[Any], keep: Any, shapes: Sequence[Any] = ()
) -> dict[str, Any]:
    """Parts that identify a sweep; a folder is refused to one that differs in any of them.

    `shapes` are those of each program's variables: they tell a net of the user's own from one with the same source
    that is made of other parts.
    """
    return {
        "key": np.asarray(jax.random.key_data(key)),
        "runs": {"type": name_of(Runs), **{name: getattr(runs, name) for name in _RUNS}},
        "data": data.fingerprint(),
        "parameters": [
            {
                jax.tree_util.keystr(path): [str(leaf.dtype), *leaf.shape]
                for path, leaf in jax.tree.leaves_with_path(tree)
            }
            for tree in shapes
        ],
        "initial": _digest(initial),
        "mask": _digest(mask),
        "keep": keep,
    }


def _executions_in(manifest: dict[str, Any]) -> tuple[Execution | None, ...]:
    """Read the executions of a manifest; earlier folders spell them as on the command line, under "form"."""
    if "executions" in manifest:
        return tuple(entry and from_dict(Execution, entry) for entry in manifest["executions"])
    return tuple(Execution.parse(text) if text else None for text in manifest["form"])


def _difference(held: Any, given: Any, place: str) -> str | None:
    """First place at which two plain values differ."""
    if isinstance(held, dict) and isinstance(given, dict):
        names = sorted(held.keys() | given.keys())
        found = (_difference(held.get(name), given.get(name), f"{place}.{name}") for name in names)
    elif isinstance(held, list) and isinstance(given, list):
        found = (_difference(a, b, f"{place}[{i}]") for i, (a, b) in enumerate(itertools.zip_longest(held, given)))
    else:
        return None if held == given else place
    return next((difference for difference in found if difference), None)


def _digest(trees: list[Any]) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(trees, is_leaf=lambda tree: tree is None):
        array = np.ascontiguousarray(leaf) if leaf is not None else np.zeros(0)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
