"""Folder of a sweep: a manifest, one line per finished run, and the variables to be kept."""

import contextlib
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Bool, Int

from lcjax.data.examples import Data, fingerprint
from lcjax.files import atomic_path, lock_file, open_lock, read_checked, reading, remove_temporaries, write_checked
from lcjax.provenance import environment
from lcjax.records import canonical_hash, from_dict
from lcjax.sealed_lines import append_line, unseal_line
from lcjax.training.concurrency import Execution
from lcjax.training.runs import Runs
from lcjax.training.storage.checkpoints import Checkpoints
from lcjax.training.storage.identity import describe_differences, describe_versions
from lcjax.training.storage.lines import check_outcome, encode_line, outcome_of
from lcjax.training.storage.run_state import Outcome
from lcjax.typing import PathLike, Variables

__all__ = ["Store"]

FORMAT = 3  # of a folder: 1 named functions by their modules, 2 had no checksums
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)  # which Windows lacks


class Store:
    """The folder of one sweep.

    `manifest.json` records the table, the data, the executions, the settings and the versions of packages; it is
    written before the first step. `runs.jsonl` gets one line for each run that ends, and `variables/ROW.npz` the
    variables to be kept, written before the line. Once a minute unfinished runs are saved in `running/PROGRAM`, from
    which a killed sweep resumes.

    Each of these files has a checksum and the hash of its sweep. A damaged line, variables that are not those of the
    line, and a damaged checkpoint are dropped with a warning, and their runs are trained again; a damaged manifest and
    lines of another sweep are refused. Nothing is written through a symbolic link. A read-only folder can be read if
    all runs have finished.

    The processes of one job share a folder, or have one each on their own disks: process N > 0 writes `runs-N.jsonl`,
    so that no two processes write one file, and each reads all lines that it finds, whatever the number of processes
    that wrote them. Process 0 must open the folder first.

    Args:
        folder: created if it does not exist.
        parts: identity of the sweep, by name; see `lcjax.training.storage.identity`.
        executions: execution of each program; those in the manifest take precedence.
        process: index of this process in its job.
        processes: of the job.

    Raises:
        ValueError: the folder holds another sweep, one in an older format, runs without a manifest, a damaged manifest
            or symbolic links, or another process is using it.
        OSError: the folder is not writable and holds no sweep.
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
        self._dtypes: Any = parts["parameters"]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._refuse_links()
        self._lines = self.folder / (f"runs-{process}.jsonl" if process else "runs.jsonl")
        self._lock = open_lock(self.folder / (f"lock-{process}" if process else "lock"))
        try:
            self._acquire()
            self._environment: dict[str, Any] = environment()
            self._manifest = self._open_manifest(parts)
        except BaseException:
            self.close()
            raise
        self._hash = canonical_hash([self._manifest["identity"], self.executions])[:16]  # in every file of the sweep

    def close(self) -> None:
        """Release the folder for another process."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _refuse_links(self) -> None:
        """Refuse symbolic links among the files and folders that are written."""
        running = self._running
        names = [self.folder / "manifest.json", self.folder / "variables", running]
        names += [*self.folder.glob("lock*"), *self.folder.glob("runs*.jsonl")]
        for path in (*names, *running.glob("*"), *running.glob("*/*")):
            if path.is_symlink():
                raise ValueError(
                    f"{path} is a symbolic link, and the files of a sweep are not written through links: replace it by "
                    "its target, or use another folder."
                )

    def _acquire(self) -> None:
        """Lock the folder, and remove what killed processes left; a read-only folder has no lock."""
        if self._lock is None:
            return
        with contextlib.ExitStack() as stack:
            locks = [self._lock]
            for path in self.folder.glob("lock-*") if self._process == 0 else ():
                other = os.open(path, os.O_RDWR | _NO_LINKS)  # a job that has lost its process 0 may still be running
                stack.callback(os.close, other)
                locks.append(other)
            if not all(map(lock_file, locks)):  # released with the process, however it ends
                raise ValueError(f"Another process is training into {self.folder}: wait, or use another folder.")
        if self._process == 0:
            for folder in (self.folder, self.folder / "variables"):
                remove_temporaries(folder)

    def _open_manifest(self, parts: Mapping[str, object]) -> dict[str, Any]:
        """Write the manifest, or compare the one that exists; return it."""
        hashes = {name: canonical_hash(part) for name, part in parts.items()}
        path = self.folder / "manifest.json"
        if not path.exists():
            rows = [path for path in self.folder.glob("runs*.jsonl") if path.stat().st_size]
            for left in (*rows, self.folder / "variables", self._running):
                if left.exists():
                    raise ValueError(
                        f"{self.folder} has {left.name} but no manifest.json, so its sweep is unknown: restore the "
                        "manifest, or use another folder."
                    )
            if self._lock is None:
                raise OSError(f"{self.folder} is not writable: use another folder.")
            described = {name: part for name, part in parts.items() if name in ("key", "runs", "data", "settings")}
            head = {"format": FORMAT, "identity": hashes, "executions": self.executions}
            write_checked(path, {**head, "environment": self._environment, **described})
        try:
            manifest = read_checked(path)
        except ValueError as error:
            raise ValueError(f"{str(error).rstrip('.')}: restore it, or use another folder.") from None
        if not isinstance(manifest.get("identity"), dict) or not manifest["identity"]:
            raise ValueError(f"{path} is not the manifest of a sweep: use another folder.")
        if (version := manifest.get("format", 1)) != FORMAT:
            raise ValueError(
                f"{self.folder} is in format {version}, but this version reads {FORMAT}: use another folder, or finish "
                "it with the version of lcjax that started it."
            )
        if different := describe_differences(manifest, hashes, parts):
            raise ValueError(
                f"{self.folder} holds another sweep: it differs in {', '.join(different)}. Use another folder."
            )
        self.executions = tuple(entry and from_dict(Execution, entry) for entry in manifest["executions"])
        return manifest

    def read(
        self, data: Data, runs: Runs, budget: Int[np.ndarray, " w"], keep: Bool[np.ndarray, " w"]
    ) -> dict[int, Outcome]:
        """Return the outcomes of the runs that have ended, by row.

        Args:
            data: data of the sweep.
            runs: its table of runs.
            budget: steps of each run.
            keep: runs whose variables are kept.

        Raises:
            ValueError: a line belongs to another sweep, or runs are left to train with another version of a package.
            OSError: the folder is not writable, and runs are left to train.
        """
        outcomes: dict[int, Outcome] = {}
        line_of: dict[int, bytes] = {}
        disputed: set[int] = set()  # runs with several different lines
        intact: dict[Path, list[int]] = {}  # runs of each file, in the order of their lines
        for path in sorted(self.folder.glob("runs*.jsonl")):
            intact[path] = []
            for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
                place = f"line {number}"
                try:
                    with reading(path, place):
                        fields = unseal_line(line) if line else {}
                        if fields.get("sweep") == self._hash:
                            row, outcome = self._outcome(fields, data, runs, budget, keep)
                            if row in outcomes:
                                disputed |= {row} if line != line_of[row] else set()
                                raise ValueError(f"run {row} has an earlier line")
                            outcomes[row], line_of[row] = outcome, line
                            intact[path].append(row)
                except (ValueError, OSError) as reason:
                    if self._repairs(path):
                        text = str(reason) if str(reason).startswith(str(path)) else f"{path}, {place}: {reason}"
                        warnings.warn(f"{text.rstrip('.')}; its run is trained again.", stacklevel=4)
                    continue
                if fields and fields["sweep"] != self._hash:
                    raise ValueError(
                        f"{path}, {place} holds a run of another sweep, {fields['sweep']}; this one is {self._hash}. "
                        "Move the file to the folder of its own sweep, or use another folder."
                    )
        for row in disputed:
            del outcomes[row]
        self._check_versions(len(runs.program), len(runs.program) - len(outcomes))
        for path, rows in intact.items():
            content = b"".join(line_of[row] + b"\n" for row in rows if row not in disputed)
            if self._repairs(path) and content != path.read_bytes():
                with atomic_path(path) as temporary:
                    temporary.write_bytes(content)
        return outcomes

    def _repairs(self, path: Path) -> bool:
        """Return True if this process writes a file of lines, or is process 0 and no process does."""
        number = path.stem.partition("-")[2]
        orphaned = self._process == 0 and number.isdecimal() and int(number) >= self._processes
        return orphaned or path == self._lines

    def _outcome(
        self,
        fields: Mapping[str, Any],
        data: Data,
        runs: Runs,
        budget: Int[np.ndarray, " w"],
        keep: Bool[np.ndarray, " w"],
    ) -> tuple[int, Outcome]:
        """Return row and outcome of the fields of a line, with the variables; raise an error if they are not valid."""
        row, outcome = fields["run"], outcome_of(fields, data)
        if not 0 <= row < len(runs.program):
            raise ValueError(f"run {row} is not in the table of {len(runs.program)}")
        check_outcome(outcome, runs.programs[runs.program[row]].budget, int(budget[row]))
        if (fields["variables"] is not None) != bool(keep[row] and outcome.status == 0):
            with_or_without = "without" if fields["variables"] is None else "with"
            raise ValueError(f"run {row} was stored {with_or_without} its variables, contrary to `keep`")
        if fields["variables"] is not None:
            dtypes = self._dtypes[runs.program[row]]
            outcome.variables = self._read_variables(row, fields["variables"], dtypes)
        return row, outcome

    def _read_variables(self, row: int, checksum: str, dtypes: Mapping[str, Sequence[str | int]]) -> Variables:
        """Read the variables of a run; `dtypes` begin with the name of the dtype, which NumPy loses for bfloat16."""
        path = self._variables(row)
        with reading(path):
            with open(os.open(path, os.O_RDONLY | _NO_LINKS), "rb") as file, np.load(file, allow_pickle=False) as npz:
                variables: Variables = unflatten_dict(dict(npz), sep="/")
            if fingerprint(variables) != checksum:
                raise ValueError(f"it is not the file that run {row} wrote, or it has changed since")
        restored: Variables = jax.tree_util.tree_map_with_path(
            lambda path, leaf: leaf.view(dtypes[jax.tree_util.keystr(path)][0]) if leaf.dtype.kind == "V" else leaf,
            variables,
        )
        return restored

    def _check_versions(self, w: int, left: int) -> None:
        """Report other versions of packages than the manifest's; refuse to train with those of another release."""
        stored = self._manifest.get("environment", self._environment)
        then, now, other_release = describe_versions(stored["versions"], self._environment["versions"])
        if then and other_release and left:
            raise ValueError(
                f"{self.folder} was started with {then}, and {left} of its {w} runs are left; this is {now}, which may "
                "compute other numbers. Finish it with the versions that started it, or use another folder."
            )
        if then:
            warnings.warn(f"{self.folder} was started with {then}; this is {now}.", stacklevel=5)
        devices = [found["device"].partition(" x ")[2] for found in (stored, self._environment)]
        if left and devices[0] != devices[1]:
            warnings.warn(f"{self.folder} was started on {devices[0]}; this is {devices[1]}.", stacklevel=5)
        if left and self._lock is None:
            raise OSError(f"{self.folder} is not writable, and {left} of its {w} runs are left: use a copy of it.")

    def add(self, row: int, outcome: Outcome) -> None:
        """Write a run that has ended."""
        if outcome.variables is not None:
            with atomic_path(self._variables(row)) as temporary:
                np.savez(temporary, **flatten_dict(outcome.variables, sep="/"))
        append_line(self._lines, encode_line(self._hash, row, outcome))

    @property
    def attempts(self) -> int:
        """Number of earlier starts of the sweep that left checkpoints."""
        names = [path.name.partition("-")[0] for path in self._running.glob("*/*-*")]
        return max((1 + int(name) for name in names if name.isdecimal()), default=0)

    def checkpoints(self, program: int, attempt: int) -> Checkpoints:
        """Return the checkpoints of the unfinished runs of one program."""
        return Checkpoints(self._running / str(program), attempt, f"{self._hash} {program}")

    def clear(self) -> None:
        """Remove all checkpoints, when all processes have finished."""
        shutil.rmtree(self._running, ignore_errors=True)

    @property
    def _running(self) -> Path:
        return self.folder / "running"

    def _variables(self, row: int) -> Path:
        return self.folder / "variables" / f"{row:06d}.npz"
