"""Folder of a sweep: a manifest, one line per finished run, and the variables to be kept."""

import hashlib
import itertools
import json
import os
import shutil
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Bool

from lcjax.data.examples import Data
from lcjax.files import atomic_path, write_json
from lcjax.identities import name_of
from lcjax.provenance import environment
from lcjax.records import canonical_hash, from_dict, to_dict
from lcjax.training.concurrency import Execution
from lcjax.training.runs import Runs
from lcjax.training.storage.checkpoints import Checkpoints
from lcjax.training.storage.run_state import Outcome
from lcjax.typing import ArrayTree, KeyArray, PathLike

__all__ = ["Store", "identity"]

FORMAT = 2  # of a folder: 1 named functions by their modules
_CURVES = ("recorded_step", "train_loss", "train_error", "validation_loss", "validation_error")
_SCORES = ("test_loss", "test_error")
_WRONG = ("validation_wrong", "wrong")
_RUNS = ("programs", "program", "columns", "shards")  # of the table; the axes of a grid do not identify a sweep


class Store:
    """The folder of one sweep.

    `manifest.json` records the table, the data, the executions and the versions of packages; it is written before the
    first step. `runs.jsonl` gets one line for each run that ends, and `variables/ROW.npz` the variables to be kept,
    written before the line. A line cut short by a crash is dropped, with a warning, and its run is trained again. Once
    a minute unfinished runs are saved in `running/PROGRAM`, from where a killed sweep resumes.

    The processes of one job share a folder, or have one each on their own disks: process N > 0 writes `runs-N.jsonl`,
    so that no two processes write one file, and each reads all lines that it finds, whatever the number of processes
    that wrote them. Process 0 must open the folder first.

    Args:
        folder: created if it does not exist.
        parts: identity of the sweep, by name; see `identity`.
        executions: execution of each program; those in the manifest take precedence.
        process: index of this process in its job.
        processes: of the job.

    Raises:
        ValueError: the folder holds another sweep or one in an older format, or another process is using it.
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: PathLike,
        parts: Mapping[str, object],
        executions: tuple[Execution | None, ...],
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self.folder = Path(folder)
        self.executions = executions
        self._process, self._processes = process, processes
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lines = self.folder / (f"runs-{process}.jsonl" if process else "runs.jsonl")
        self._lock = (self.folder / (f"lock-{process}" if process else "lock")).open("w")
        try:
            self._acquire()
            self._open_manifest(parts)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the folder for another process."""
        self._lock.close()

    def _acquire(self) -> None:
        """Lock the folder."""
        try:
            import fcntl
        except ImportError:  # on Windows the user must keep two processes apart
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released with the process, however it ends
            for path in self.folder.glob("lock-*") if self._process == 0 else ():
                with path.open("w") as others:  # a job that has lost its process 0 may still be running
                    fcntl.flock(others, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"Another process is training into {self.folder}: wait, or use another folder.") from None

    def _open_manifest(self, parts: Mapping[str, object]) -> None:
        """Write the manifest, or compare the one that exists."""
        hashes = {name: canonical_hash(part) for name, part in parts.items()}
        path = self.folder / "manifest.json"
        if not path.exists():
            described = {name: part for name, part in parts.items() if name in ("key", "runs", "data")}
            head = {"format": FORMAT, "identity": hashes, "executions": self.executions, "environment": environment()}
            write_json(path, {**head, **described})
            return
        try:
            manifest = json.loads(path.read_text())
            version = manifest.get("format", 1)
            self.executions = _executions_in(manifest)
            different = [name for name in hashes if manifest["identity"].get(name) != hashes[name]]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{path} is not the manifest of a sweep. Use another folder.") from None
        if version != FORMAT:
            raise ValueError(f"{self.folder} is in format {version}, this version reads {FORMAT}: use another folder.")
        if different:
            first = _difference(manifest.get("runs"), to_dict(parts["runs"]), "runs")
            places = [first or name if name == "runs" else name for name in different]
            raise ValueError(
                f"{self.folder} holds another sweep: it differs in {', '.join(places)}. Use another folder."
            )

    def read(self, data: Data) -> dict[int, Outcome]:
        """Return the outcomes of the runs that have ended, by row."""
        outcomes = {}
        for path in sorted(self.folder.glob("runs*.jsonl")):
            number = path.stem.partition("-")[2]
            orphaned = self._process == 0 and number.isdecimal() and int(number) >= self._processes
            outcomes.update(self._read_lines(path, data, repair=orphaned or path == self._lines))
        return outcomes

    def _read_lines(self, path: Path, data: Data, *, repair: bool) -> dict[int, Outcome]:
        """Read the outcomes of one file; the process that writes it also repairs it, or process 0 if none does."""
        outcomes = {}
        intact = []
        text = path.read_text(errors="replace")
        for number, line in enumerate(text.splitlines(keepends=True), start=1):
            try:
                row, outcome = self._decode(json.loads(line), data)
            except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as reason:
                if repair:
                    warnings.warn(f"{path}, line {number}: {reason}; its run is trained again.", stacklevel=5)
            else:
                outcomes[row] = outcome
                intact.append(line)
        if repair and "".join(intact) != text:
            with atomic_path(path) as temporary:
                temporary.write_text("".join(intact))
        return outcomes

    def add(self, row: int, outcome: Outcome) -> None:
        """Write a run that has ended."""
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
        """Number of earlier starts of the sweep that left checkpoints."""
        names = [path.name.partition("-")[0] for path in self._running.glob("*/*-*")]
        return max((1 + int(name) for name in names if name.isdecimal()), default=0)

    def checkpoints(self, program: int, attempt: int) -> Checkpoints:
        """Return the checkpoints of the unfinished runs of one program."""
        return Checkpoints(self._running / str(program), attempt)

    def clear(self) -> None:
        """Remove all checkpoints, when all processes have finished."""
        shutil.rmtree(self._running, ignore_errors=True)

    @property
    def _running(self) -> Path:
        return self.folder / "running"

    def _variables(self, row: int) -> Path:
        return self.folder / "variables" / f"{row:06d}.npz"

    def _decode(self, line: dict[str, Any], data: Data) -> tuple[int, Outcome]:
        test_count = 0 if data.test is None else len(data.test.targets)
        counts = {"validation_wrong": len(data.validation.targets), "wrong": test_count}
        variables = None
        if line["variables"]:
            with np.load(self._variables(line["run"])) as arrays:
                variables = unflatten_dict(dict(arrays), sep="/")
        fields: dict[str, Any] = {
            **{name: [np.nan if value is None else value for value in line[name]] for name in _CURVES},
            **{name: np.nan if line[name] is None else line[name] for name in _SCORES},
            **{name: np.isin(np.arange(counts[name]), line[name]) for name in _WRONG},
        }
        return line["run"], Outcome(line["status"], line["steps"], **fields, variables=variables)


def identity(
    key: KeyArray,
    data: Data,
    runs: Runs,
    initial: Sequence[ArrayTree | None],
    mask: Sequence[ArrayTree | None],
    keep: Bool[np.ndarray, " w"],
    shapes: Sequence[ArrayTree] = (),
) -> dict[str, object]:
    """Return the parts that identify a sweep. A folder accepts only sweeps with the same identity.

    `shapes` are those of each program's variables: they distinguish models of the same source whose components differ.
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
    """Read the executions of a manifest; folders of format 2 may spell them as on the command line, under "form"."""
    if "executions" in manifest:
        return tuple(entry and from_dict(Execution, entry) for entry in manifest["executions"])
    return tuple(Execution.parse(text) if text else None for text in manifest["form"])


def _difference(stored: object, given: object, place: str) -> str | None:
    """Return the first place at which two plain values differ."""
    if isinstance(stored, dict) and isinstance(given, dict):
        names = sorted(stored.keys() | given.keys())
        places = (_difference(stored.get(name), given.get(name), f"{place}.{name}") for name in names)
    elif isinstance(stored, list) and isinstance(given, list):
        pairs = enumerate(itertools.zip_longest(stored, given))
        places = (_difference(a, b, f"{place}[{i}]") for i, (a, b) in pairs)
    else:
        return None if stored == given else place
    return next((difference for difference in places if difference), None)


def _digest(trees: Sequence[ArrayTree | None]) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(trees, is_leaf=lambda tree: tree is None):
        array = np.ascontiguousarray(leaf) if leaf is not None else np.zeros(0)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
