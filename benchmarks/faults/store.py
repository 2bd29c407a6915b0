"""Damage to every file of a sweep's folder, and the outcome of the next start: `python -m benchmarks.faults.store`.

Every case copies a folder, damages one file and sweeps again. The sweep must return the table of an undisturbed sweep,
bit for bit, or refuse the folder in one line. Another table, any other exception, and a file that was changed through a
symbolic link are faults.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np

import lcjax as lc
from lcjax.files import read_checked, write_checked, write_json
from lcjax.provenance import environment
from lcjax.training import Budget, Execution, epochs, momentum
from lcjax.training.optimizers import constant
from lcjax.training.storage import checkpoints
from lcjax.typing import ArrayTree, OnProgress, Progress

__all__ = ["Stores", "rows"]

KEEP = np.array([True, True, False, True])
NOBODY = 65534
FIELDS = (
    "status", "steps", "recorded_step", "train_loss", "train_error", "validation_loss", "validation_error",
    "test_loss", "test_error", "wrong", "validation_wrong", "orders", "order",
)  # fmt: skip


def sweep(
    key: int = 0, folder: Path | None = None, on_progress: OnProgress | None = None, execution: Execution | None = None
) -> lc.training.SweepResult:
    """Train four runs of a small network for twelve steps."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(24, 3)).astype(np.float32)
    examples = lc.Examples(inputs, (inputs[:, 0] > 0).astype(np.int32))
    data = lc.Data(examples, examples, examples, classes=2)
    budget = Budget(steps=12, records=6, patience=6)
    program = lc.Program(lc.models.MLP((4,), 2), lc.cross_entropy, momentum, constant, 4, budget, epochs)
    runs = lc.Runs.grid(program, size=[12, 24], seed=[0, 1], learning_rate=0.05)
    return lc.sweep(
        jax.random.key(key), data, runs, keep=KEEP, folder=folder, execution=execution, on_progress=on_progress
    )


class Stores:
    """Folders to damage: finished and interrupted, each for two sweeps and both kinds of checkpoints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.expected = sweep(execution=Execution("vmap", 2))
        for key in (0, 1):
            sweep(key, folder / f"finished-{key}", execution=Execution("vmap", 2))
            for kind in ("orbax", "npz"):
                interrupt(key, folder / f"{kind}-{key}", npz=kind == "npz")
        for name in ("finished-0", "orbax-0", "npz-0"):  # also imports what a user without rights may not read
            assert start_again(self, "", self.copy(name)) == ("same table", ""), f"{name} does not resume"

    def copy(self, name: str) -> Path:
        """Return a fresh copy of a folder."""
        target = self.folder / "damaged"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.folder / name, target)
        return target


def interrupt(key: int, folder: Path, *, npz: bool) -> None:
    """Begin a sweep and stop it between two checkpoints, each of which is written by Orbax or as an npz file."""
    save = checkpoints.Checkpoints.save

    def as_one_of_two(self: checkpoints.Checkpoints, lanes: dict[str, Any], arrays: ArrayTree) -> None:
        with mock.patch.object(checkpoints, "process_count", return_value=2):
            save(self, lanes, arrays)

    def stop(progress: Progress) -> None:
        if progress.done >= 30:
            raise KeyboardInterrupt

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.multiple(checkpoints, SECONDS=0.0, SHARE=1e9))
        if npz:
            stack.enter_context(mock.patch.object(checkpoints.Checkpoints, "save", as_one_of_two))
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        sweep(key, folder, stop, Execution("vmap", 2))
    assert any((folder / "running").rglob("*")), "interrupted before the first checkpoint"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file: the folder that has it, its name there, and the same file of another run or program."""

    name: str
    folder: str
    pattern: str
    other: str = ""

    def files(self, folder: Path) -> list[Path]:
        """Return the files of this kind."""
        return sorted(path for path in folder.glob(self.pattern) if path.is_file())


KINDS = (
    Kind("manifest.json", "finished", "manifest.json"),
    Kind("runs.jsonl", "finished", "runs.jsonl"),
    Kind("variables/*.npz", "finished", "variables/000000.npz", "variables/000001.npz"),
    Kind("running (Orbax)", "orbax", "running/0/**/*"),
    Kind("running (npz)", "npz", "running/**/*.npz"),
    Kind("lock", "finished", "lock"),
)


def truncate(kind: Kind, folder: Path, stores: Stores, generator: random.Random) -> None:
    """Keep the first half of every file."""
    for file in kind.files(folder):
        os.truncate(file, file.stat().st_size // 2)


def empty(kind: Kind, folder: Path, stores: Stores, generator: random.Random) -> None:
    """Empty every file."""
    for file in kind.files(folder):
        os.truncate(file, 0)


def flip(kind: Kind, folder: Path, stores: Stores, generator: random.Random) -> None:
    """Flip one bit of one file, chosen by size."""
    files = [file for file in kind.files(folder) if file.stat().st_size]
    if not files:
        return
    (file,) = generator.choices(files, [file.stat().st_size for file in files])
    content = bytearray(file.read_bytes())
    content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    file.write_bytes(content)


def delete(kind: Kind, folder: Path, stores: Stores, generator: random.Random) -> None:
    """Delete every file."""
    for file in kind.files(folder):
        file.unlink()


def swap_sweep(kind: Kind, folder: Path, stores: Stores, generator: random.Random) -> None:
    """Replace the files by those of another sweep."""
    if kind.name.startswith("running"):
        shutil.rmtree(folder / "running")
        shutil.copytree(stores.folder / f"{kind.folder}-1" / "running", folder / "running")
        return
    for file in kind.files(folder):
        shutil.copy(stores.folder / f"{kind.folder}-1" / file.relative_to(folder), file)


def swap_run(kind: Kind, folder: Path, stores: Stores, generator: random.Random) -> None:
    """Exchange the files of two runs, the numbers of two runs, or the checkpoints of two programs."""
    if kind.other:
        for file in kind.files(folder):
            shutil.copy(folder / kind.other, file)
    elif kind.name == "runs.jsonl":
        (file,) = kind.files(folder)
        text = file.read_text().replace('"run":0,', '"run":x,').replace('"run":1,', '"run":0,')
        file.write_text(text.replace('"run":x,', '"run":1,'))
    elif kind.name == "manifest.json":
        (file,) = kind.files(folder)
        file.write_text(file.read_text().replace('"width": 2', '"width": 4'))
    elif kind.name.startswith("running"):  # as if the checkpoint were that of another attempt
        (attempt,) = (folder / "running" / "0").iterdir()
        shutil.copytree(attempt, attempt.with_name("7-0"))


def link(kind: Kind, folder: Path, stores: Stores, generator: random.Random) -> None:
    """Replace the files by symbolic links to copies of them elsewhere."""
    outside = stores.folder / "outside"
    shutil.rmtree(outside, ignore_errors=True)
    outside.mkdir()
    for number, file in enumerate(kind.files(folder)):
        shutil.move(file, outside / str(number))
        file.symlink_to(outside / str(number))


def link_folder(kind: Kind, folder: Path, stores: Stores, generator: random.Random) -> None:
    """Replace the folder of the files by a symbolic link to a copy elsewhere."""
    outside = stores.folder / "outside"
    shutil.rmtree(outside, ignore_errors=True)
    outside.mkdir()
    for file in kind.files(folder):
        parent = folder / file.relative_to(folder).parts[0]
        if parent.is_dir() and not parent.is_symlink():
            shutil.move(parent, outside / parent.name)
            parent.symlink_to(outside / parent.name)


def version(change: str, kind: Kind, folder: Path, stores: Stores, generator: random.Random) -> None:
    """Write another version of JAX, or of the format, into the manifest."""
    manifest = read_checked(folder / "manifest.json")
    if change == "format":
        manifest["format"] -= 1
    else:
        major, minor, patch = (int(part) for part in jax.__version__.split(".")[:3])
        other = f"{major}.{minor}.{patch + 1}" if change == "patch" else f"{major}.{minor + 1}.{patch}"
        manifest["environment"]["versions"]["jax"] = other
    write_checked(folder / "manifest.json", manifest)


def nothing(kind: Kind, folder: Path, stores: Stores, generator: random.Random) -> None:
    """Damage nothing."""


DAMAGES: dict[str, Callable[[Kind, Path, Stores, random.Random], None]] = {
    "truncate": truncate,
    "empty": empty,
    "flip": flip,
    "delete": delete,
    "swap with another sweep": swap_sweep,
    "swap with another run": swap_run,
    "read-only": nothing,
    "symbolic link": link,
    "symbolic link to the folder": link_folder,
    "other patch version": functools.partial(version, "patch"),
    "other version": functools.partial(version, "minor"),
    "other format": functools.partial(version, "format"),
    "x64": nothing,
}


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only, for the superuser by giving up the right to write."""
    paths = [folder, *folder.rglob("*")]
    modes = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(NOBODY)
        yield
    finally:
        os.seteuid(user)
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)


def start_again(stores: Stores, damage: str, folder: Path) -> tuple[str, str]:
    """Sweep into a damaged folder; return the verdict, and the message if there is one."""
    outside = stores.folder / "outside"
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    with contextlib.ExitStack() as stack:
        messages = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        if damage == "x64":
            stack.enter_context(jax.enable_x64(True))
        if damage == "read-only":
            stack.enter_context(read_only(folder))
        try:
            result = sweep(folder=folder)
        except (ValueError, OSError) as error:
            text = str(error)
            return ("refused" if "\n" not in text and type(error) is not UnicodeDecodeError else "exception"), text
        except BaseException as error:  # the verdict
            return "exception", f"{type(error).__name__}: {error}"
    if before != {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}:
        return "written through a link", ""
    same = all(np.array_equal(getattr(result, f), getattr(stores.expected, f), equal_nan=True) for f in FIELDS)
    leaves = [jax.tree.leaves(table.params) for table in (result, stores.expected)]
    same = same and len(leaves[0]) == len(leaves[1]) and all(map(np.array_equal, *leaves))
    message = str(messages[0].message) if messages else ""
    return ("same table, with a warning" if messages else "same table") if same else "another table", message


RIGHT = ("same table", "same table, with a warning", "refused")


def rows(folder: Path, *, flips: int, seed: int = 0, kinds: tuple[Kind, ...] = KINDS) -> list[dict[str, object]]:
    """Return the verdicts of every kind of file and damage, with the first message of each verdict."""
    folder.chmod(0o755)
    stores = Stores(folder)
    table: list[dict[str, object]] = []
    for kind in kinds:
        for damage, apply in DAMAGES.items():
            verdicts: dict[str, int] = {}
            messages: dict[str, str] = {}
            for number in range(flips if damage == "flip" else 1):
                shutil.rmtree(folder / "outside", ignore_errors=True)
                copy = stores.copy(f"{kind.folder}-0")
                apply(kind, copy, stores, random.Random(f"{seed} {kind.name} {number}"))
                verdict, message = start_again(stores, damage, copy)
                verdicts[verdict] = verdicts.get(verdict, 0) + 1
                if message:
                    messages.setdefault(verdict, message.replace(str(copy), "FOLDER")[:300])
            table.append({"file": kind.name, "damage": damage, "verdicts": verdicts, "messages": messages})
            print(f"{kind.name:18} {damage:28} {verdicts}", file=sys.stderr, flush=True)
    return table


def main() -> None:
    """Write the table as JSON, and exit with status 1 if a verdict is wrong."""
    parser = argparse.ArgumentParser(description="Damage every file of a sweep's folder and start again.")
    parser.add_argument("--flips", type=int, default=50, help="Bits to flip in each kind of file [default: 50].")
    parser.add_argument("--seed", type=int, default=0, help="Seed of the bits [default: 0].")
    parser.add_argument("--output", type=Path, help="JSON file of the table [default: standard output].")
    options = parser.parse_args()
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        table = rows(Path(folder), flips=options.flips, seed=options.seed)
    totals: dict[str, int] = {}
    for row in table:
        for verdict, count in row["verdicts"].items():  # type: ignore[attr-defined]
            totals[verdict] = totals.get(verdict, 0) + count
    report = {
        "command": f"python -m benchmarks.faults.store --flips {options.flips} --seed {options.seed}",
        "environment": environment(),
        "processor_seconds": round(time.process_time() - began),
        "totals": totals,
        "table": table,
    }
    if options.output:
        write_json(options.output, report)
    else:
        print(json.dumps(report, indent=1))
    raise SystemExit(any(verdict not in RIGHT for verdict in totals))


if __name__ == "__main__":
    main()
