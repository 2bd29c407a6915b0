"""Folder of a collection: its identity, and one line for each finished training."""

import contextlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lcjax.files import lock_file, open_lock, read_checked, reading, remove_temporaries, write_checked
from lcjax.records import to_dict
from lcjax.sealed_lines import append_line, seal_line, unseal_line
from lcjax.studies.collection.measurements import Training
from lcjax.typing import PathLike

__all__ = ["Store"]

FORMAT = 2  # 1 drew other subsets


class Store:
    """The folder of one collection, open for one process at a time, or for the tasks of an array job.

    `collection.json` identifies the trainer, the order of the examples and the seed; sizes and repeats are not part of
    the identity, so that a collection can grow. `trainings.jsonl` gets a line for each training that ends. Task I of an
    array job writes `trainings-I.jsonl`, so that no two processes write one file; all files are read. A damaged line is
    dropped with a warning, and its training is repeated. A finished collection can be read from a read-only folder.

    Args:
        folder: created if it does not exist.
        identity: plain data.
        task: number of this task of an array job, or None for the only process.

    Raises:
        ValueError: the folder holds another collection, or another process is using it.
        OSError: the folder is not writable.
    """

    def __init__(self, folder: PathLike, identity: Mapping[str, object], task: int | None = None) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lines = self.folder / ("trainings.jsonl" if task is None else f"trainings-{task}.jsonl")
        with contextlib.ExitStack() as stack:
            # The tasks of an array job share the lock that any other process holds alone.
            self._is_writable = self._lock("lock", stack, shared=task is not None)
            if self._is_writable and task is not None:
                self._lock(f"lock-{task}", stack)
            if task is None:
                remove_temporaries(self.folder)
            self._is_sole = task is None and self._is_writable
            self._compare(to_dict({"format": FORMAT, **identity}))
            self._open = stack.pop_all()

    def close(self) -> None:
        """Release the folder for another process."""
        self._open.close()

    def _lock(self, name: str, stack: contextlib.ExitStack, *, shared: bool = False) -> bool:
        """Lock a file of the folder until the stack is closed; return False if the folder is read-only."""
        handle = open_lock(self.folder / name)
        if handle is None:
            return False
        stack.callback(os.close, handle)
        if not lock_file(handle, shared=shared):
            raise ValueError(f"Another process is collecting into {self.folder}: wait, or use another folder.")
        return True

    def _compare(self, identity: Mapping[str, object]) -> None:
        path = self.folder / "collection.json"
        has_lines = any(file.stat().st_size for file in self.folder.glob("trainings*.jsonl"))
        if not path.exists():
            if has_lines and not path.exists():  # another task may have written both in between
                raise ValueError(
                    f"{self.folder} has trainings but no collection.json: restore it, or use another folder."
                )
            if not has_lines:
                write_checked(path, identity)
        stored = read_checked(path)
        different = [name for name in identity if stored.get(name) != identity[name]]
        if different and self._is_sole and not has_lines:
            write_checked(path, identity)  # no training of the other collection has ended
        elif different:
            name = different[0]
            old, new = (json.dumps(one.get(name)) for one in (stored, identity))
            raise ValueError(
                f"{self.folder} holds trainings of another collection: its {name} is {old}, not {new}. Use another "
                "folder, or delete this one."
            )

    def read(self) -> dict[tuple[int, int], Training]:
        """Return the trainings that have ended, by size and repeat."""
        trainings: dict[tuple[int, int], Training] = {}
        for path in sorted(self.folder.glob("trainings*.jsonl")):
            for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
                if not line:
                    continue
                try:
                    with reading(path, f"line {number}"):
                        one = _training(unseal_line(line))
                except ValueError as error:
                    warnings.warn(f"{str(error).rstrip('.')}; its training is repeated.", stacklevel=3)
                    continue
                trainings[one.size, one.repeat] = one
        return trainings

    def require_writable(self, left: int) -> None:
        """Raise OSError if the folder is read-only, and some trainings are left."""
        if not self._is_writable and left:
            raise OSError(f"{self.folder} is not writable, and {left} trainings are left: use a copy of it.")

    def add(self, training: Training) -> None:
        """Write a training that has ended."""
        append_line(self._lines, seal_line(vars(training)))


def _training(fields: Mapping[str, Any]) -> Training:
    """Return the training in the fields of a line."""
    return Training(
        int(fields["size"]),
        int(fields["repeat"]),
        {str(name): _number(value) for name, value in fields["values"].items()},
        float(fields["seconds"]),
    )


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
