"""Folder of a collection: what identifies it, and one line for each training that has ended."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path

from lcjax.files import (
    lock_file,
    open_lock,
    read_checked,
    reading,
    remove_temporaries,
    sync_folder,
    write_checked,
    writing,
)
from lcjax.records import to_dict
from lcjax.sealed_lines import seal_line, unseal_line
from lcjax.studies.collection.measurements import Training
from lcjax.typing import PathLike

__all__ = ["Store"]

FORMAT = 1
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)  # which Windows lacks


class Store:
    """The folder of one collection, open for one process at a time.

    `collection.json` identifies the trainer, the order of the examples and the seed; sizes and repeats are not part of
    the identity, so that a collection can grow. `trainings.jsonl` gets a line for each training that ends. A damaged
    line is dropped with a warning, and its training is repeated. A finished collection can be read from a read-only
    folder.

    Args:
        folder: created if it does not exist.
        identity: plain data.

    Raises:
        ValueError: the folder holds another collection, or another process is using it.
        OSError: the folder is not writable.
    """

    def __init__(self, folder: PathLike, identity: Mapping[str, object]) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True)
        self._lines = self.folder / "trainings.jsonl"
        self._lock = open_lock(self.folder / "lock")
        try:
            if self._lock is not None and not lock_file(self._lock):
                raise ValueError(f"Another process is collecting into {self.folder}: wait, or use another folder.")
            remove_temporaries(self.folder)
            self._compare(to_dict({"format": FORMAT, **identity}))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the folder for another process."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _compare(self, identity: Mapping[str, object]) -> None:
        path = self.folder / "collection.json"
        if not path.exists():
            if self._lines.exists() and self._lines.stat().st_size:
                raise ValueError(
                    f"{self.folder} has trainings but no collection.json: restore it, or use another folder."
                )
            write_checked(path, identity)
        stored = read_checked(path)
        different = [name for name in identity if stored.get(name) != identity[name]]
        if different:
            name = different[0]
            raise ValueError(
                f"{self.folder} holds another collection: its {name} is {stored.get(name)!r}, not {identity[name]!r}. "
                "Use another folder."
            )

    def read(self) -> dict[tuple[int, int], Training]:
        """Return the trainings that have ended, by size and repeat."""
        trainings: dict[tuple[int, int], Training] = {}
        lines = self._lines.read_bytes().split(b"\n") if self._lines.exists() else []
        for number, line in enumerate(lines, start=1):
            if not line:
                continue
            try:
                with reading(self._lines, f"line {number}"):
                    fields = unseal_line(line)
                    one = Training(
                        int(fields["size"]),
                        int(fields["repeat"]),
                        {str(name): float("nan") if v is None else float(v) for name, v in fields["values"].items()},
                        float(fields["seconds"]),
                    )
            except ValueError as error:
                warnings.warn(f"{str(error).rstrip('.')}; its training is repeated.", stacklevel=3)
                continue
            trainings[one.size, one.repeat] = one
        return trainings

    def require_writable(self, left: int) -> None:
        """Raise OSError if the folder is read-only, and some trainings are left."""
        if self._lock is None and left:
            raise OSError(f"{self.folder} is not writable, and {left} trainings are left: use a copy of it.")

    def add(self, training: Training) -> None:
        """Write a training that has ended."""
        new = not self._lines.exists()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | _NO_LINKS
        with writing(self._lines), open(os.open(self._lines, flags, 0o644), "r+b") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(end - 1, 0))
            broken = bool(end) and file.read(1) != b"\n"  # a line that a killed process has not finished
            file.write((b"\n" if broken else b"") + seal_line(vars(training)))
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(self.folder)
