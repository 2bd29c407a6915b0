"""A folder that keeps finished runs: a manifest, one line a run, and the variables asked for."""

import hashlib
import json
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from lcjax.data.examples import Data
from lcjax.files import atomic_path, write_json
from lcjax.provenance import environment
from lcjax.records import canonical_hash, to_dict
from lcjax.training.checkpoints import Checkpoints
from lcjax.training.outcomes import Outcome
from lcjax.training.runs import Runs

__all__ = ["Store"]

_CURVES = ("recorded_step", "train_loss", "train_error", "validation_loss", "validation_error")
_SCORES = ("test_loss", "test_error")
_WRONG = ("validation_wrong", "wrong")


class Store:
    """The folder of one sweep.

    `manifest.json` says what is trained, on what data, in which execution form, with which versions; it is there before
    the first step. `runs.jsonl` gets one line for each run that ends, `variables/ROW.npz` the variables to be kept,
    written before the line. A line cut short by a crash is dropped, with a warning, and its run is trained again. Once
    a minute the runs in the making go into `running/PROGRAM`, and a sweep that was killed goes on from there.

    Args:
        folder: made if it does not exist.
        parts: what identifies the sweep, by name; see `identity`.
        forms: execution form of each program; those in the manifest win.

    Raises:
        ValueError: the folder holds another sweep, or another process is at work in it.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: str | os.PathLike[str], parts: dict[str, Any], forms: tuple[str, ...]) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("w")
        try:
            self._take(parts, forms)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another process have the folder."""
        self._lock.close()

    def _take(self, parts: dict[str, Any], forms: tuple[str, ...]) -> None:
        try:
            import fcntl
        except ImportError:  # not on Windows, where two processes must be kept apart by hand
            pass
        else:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # gone with the process, however it ends
            except BlockingIOError:
                raise ValueError(
                    f"Another process is training into {self.folder}: wait, or give another folder."
                ) from None
        hashes = {name: canonical_hash(part) for name, part in parts.items()}
        manifest = self.folder / "manifest.json"
        if manifest.exists():
            try:
                held = json.loads(manifest.read_text())
                self.forms = tuple(held["form"])
                different = [name for name in hashes if held["identity"].get(name) != hashes[name]]
            except (ValueError, KeyError, TypeError, AttributeError):
                raise ValueError(f"{manifest} is not the manifest of a sweep. Give another folder.") from None
            if different:
                raise ValueError(
                    f"{self.folder} holds another sweep: it differs in {', '.join(different)}. Give another folder."
                )
        else:
            self.forms = forms
            described = {name: part for name, part in parts.items() if name in ("key", "runs", "data")}
            write_json(manifest, {"identity": hashes, "form": forms, "environment": environment(), **described})
        self._lines = self.folder / "runs.jsonl"

    def read(self, data: Data) -> dict[int, Outcome]:
        """The runs that have ended, by their place in the table."""
        if not self._lines.exists():
            return {}
        outcomes = {}
        kept = []
        text = self._lines.read_text(errors="replace")
        for number, line in enumerate(text.splitlines(keepends=True), start=1):
            try:
                if not line.endswith("\n"):
                    raise ValueError("the line is cut short")
                row, outcome = self._decoded(json.loads(line), data)
            except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as reason:
                warnings.warn(f"{self._lines}, line {number}: {reason}; that run is trained again.", stacklevel=4)
            else:
                outcomes[row] = outcome
                kept.append(line)
        if "".join(kept) != text:
            with atomic_path(self._lines) as temporary:
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

    def checkpoints(self, program: int) -> Checkpoints:
        """Where the runs of one program that are in the making are kept."""
        return Checkpoints(self.folder / "running" / str(program))

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
    key: jax.Array, data: Data, runs: Runs, initial: list[Any], mask: list[Any], keep: np.ndarray
) -> dict[str, Any]:
    """What identifies a sweep; a folder is refused to one that differs in any part."""
    return {
        "key": np.asarray(jax.random.key_data(key)),
        "runs": runs,
        "data": data.fingerprint(),
        "initial": _digest(initial),
        "mask": _digest(mask),
        "keep": keep,
    }


def _digest(trees: list[Any]) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(trees, is_leaf=lambda tree: tree is None):
        array = np.ascontiguousarray(leaf) if leaf is not None else np.zeros(0)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
