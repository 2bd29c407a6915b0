"""Periodic checkpoints of unfinished runs, from which an interrupted sweep resumes mid-run."""

import hashlib
import json
import shutil
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.data.examples import fingerprint
from lcjax.files import atomic_path, writing
from lcjax.jobs.peers import process_count, process_index
from lcjax.records import parse_json
from lcjax.typing import Array, ArrayTree, KeyArray

__all__ = ["Checkpoints", "on_host", "with_keys"]

SECONDS = 60.0  # between two checkpoints, or more where writing one takes long
FILE = "kept.npz"
SEAL = "lcjax-checksum"  # of one of Orbax's checkpoints, written last
SHARE = 0.05  # largest fraction of the time that goes into writing
_CHANGED = "the checkpoint has changed since it was written, or belongs to another sweep"

Tree = TypeVar("Tree")


class Checkpoints:
    """The newest checkpoint of one program's runs, written atomically.

    Every process of every start of the sweep has its own folder, so that no process reads a file while another replaces
    it. Orbax writes them, except where several processes save their own runs, which Orbax does not support (it saves
    the arrays of process 0, or arrays that all processes share): those are npz files.

    Args:
        folder: of the program; created with the first checkpoint. Orbax is imported then, not by short sweeps.
        attempt: number of earlier starts of the sweep.
        owner: name of the sweep and the program. Checkpoints of others, and those that have changed since they were
            written, count as damaged.
    """

    def __init__(self, folder: Path, attempt: int = 0, owner: str = "") -> None:
        self.folder = folder.absolute()
        self._current = self.folder / f"{attempt}-{process_index()}"
        self._attempt, self._owner = attempt, owner
        self._next = time.monotonic() + SECONDS
        self._count = 0

    @property
    def due(self) -> bool:
        """True when it is time for the next checkpoint."""
        return time.monotonic() >= self._next

    def save(self, lanes: dict[str, Any], arrays: ArrayTree) -> None:
        """Replace this process's checkpoint by JSON data and a pytree of arrays on the host."""
        started = time.monotonic()
        with writing(self._current):
            if process_count() > 1:
                text = json.dumps(lanes)
                leaves = {str(i): leaf for i, leaf in enumerate(jax.tree.leaves(arrays))}
                checksums = np.array([self._checksum(text), self._checksum(text, leaves)])
                with atomic_path(self._current / FILE) as temporary:
                    np.savez(temporary, lanes=np.array(text), checksums=checksums, **leaves)
            else:
                from orbax.checkpoint import args

                with self._manager(self._current) as manager:
                    self._count += 1
                    parts = args.Composite(lanes=args.JsonSave(lanes), arrays=args.StandardSave(arrays))
                    manager.save(self._count, args=parts)
                step = self._current / str(self._count)
                seal = self._seal(step)
                with atomic_path(step / SEAL) as temporary:
                    temporary.write_text(seal)
        if process_count() == 1:
            for folder in self._earlier():  # this checkpoint holds all that they are needed for
                shutil.rmtree(folder, ignore_errors=True)
        spent = time.monotonic() - started
        self._next = time.monotonic() + max(SECONDS, spent / SHARE)

    def lanes(self) -> list[tuple[Path, dict[str, Any]]]:
        """Return folder and JSON data of each readable checkpoint of earlier starts."""
        saved = [(folder, self._read(folder, None)) for folder in self._earlier()]
        return [(folder, lanes) for folder, lanes in saved if lanes is not None]

    def arrays(self, folder: Path, like: ArrayTree) -> Any:
        """Read the arrays of the checkpoint in `folder` to the host, a pytree as `like`, of which shapes suffice.

        Keys are read as their key data. Returns `None` if the arrays cannot be read.
        """
        return self._read(folder, jax.eval_shape(_without_keys, like))

    def clear(self) -> None:
        """Remove all checkpoints; those of several processes are removed by the store, when all have finished."""
        if process_count() == 1:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _earlier(self) -> list[Path]:
        """Return the folders of earlier starts."""
        folders = self.folder.glob("*-*") if self.folder.exists() else []
        starts = {folder: folder.name.partition("-")[0] for folder in folders}
        return sorted(folder for folder in starts if starts[folder].isdecimal() and int(starts[folder]) < self._attempt)

    def _manager(self, folder: Path) -> Any:
        import orbax.checkpoint as ocp

        process = jax.process_index()
        alone = ocp.options.MultiprocessingOptions(
            primary_host=process, active_processes={process}, barrier_sync_key_prefix=f"process{process}"
        )
        folder.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=1, enable_async_checkpointing=False, create=False, multiprocessing_options=alone
        )
        handlers = {
            "lanes": ocp.JsonCheckpointHandler(multiprocessing_options=alone),
            "arrays": ocp.StandardCheckpointHandler(multiprocessing_options=alone),
        }
        return ocp.CheckpointManager(folder, options=options, item_handlers=handlers)

    def _checksum(self, text: str, arrays: Mapping[str, np.ndarray] | None = None) -> str:
        return fingerprint(dict(arrays or {}), f"{self._owner} {text}")

    def _seal(self, step: Path) -> str:
        """Return a hash of the owner and all files of one of Orbax's checkpoints, which has no checksums of its own."""
        digest = hashlib.sha256(self._owner.encode())
        for path in sorted(path for path in step.rglob("*") if path.is_file() and path.name != SEAL):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(step)} {len(content)} ".encode() + content)
        return digest.hexdigest()

    def _read(self, folder: Path, like: ArrayTree | None) -> Any:
        """Read the arrays, or the JSON data if `like` is `None`; None for an incomplete or damaged checkpoint."""
        try:
            return (self._read_file if (folder / FILE).exists() else self._read_folder)(folder, like)
        except Exception as reason:  # Orbax raises all sorts of errors
            message = " ".join(str(reason).split())[:200]
            warnings.warn(f"{folder}: {message}; its unfinished runs restart.", stacklevel=3)
            return None

    def _read_file(self, folder: Path, like: ArrayTree | None) -> Any:
        with np.load(folder / FILE, allow_pickle=False) as file:
            content = dict(file)
        text, checksums = content.pop("lanes").item(), content.pop("checksums").tolist()
        if checksums != [self._checksum(text), self._checksum(text, content)]:
            raise ValueError(_CHANGED)
        if like is None:
            return parse_json(text)
        shapes, structure = jax.tree.flatten(like)
        leaves = [content[str(i)].view(shape.dtype).reshape(shape.shape) for i, shape in enumerate(shapes)]
        return jax.tree.unflatten(structure, leaves)

    def _read_folder(self, folder: Path, like: ArrayTree | None) -> Any:
        from orbax.checkpoint import args

        steps = [int(path.parent.name) for path in folder.glob(f"*/{SEAL}") if path.parent.name.isdecimal()]
        if not steps:  # the process was killed before its first checkpoint was complete
            return None
        step = max(steps)
        if (folder / str(step) / SEAL).read_text() != self._seal(folder / str(step)):
            raise ValueError(_CHANGED)
        with self._manager(folder) as manager:
            if like is None:
                return manager.restore(step, args=args.Composite(lanes=args.JsonRestore()))["lanes"]
            empty = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)
            return manager.restore(step, args=args.Composite(arrays=args.StandardRestore(empty)))["arrays"]


def on_host(tree: Tree) -> Tree:
    """Copy arrays to NumPy, keys as their key data."""
    copied: Tree = jax.device_get(_without_keys(tree))
    return copied


def with_keys(tree: Tree, like: Tree, key: KeyArray) -> Tree:
    """Convert key data back to keys, of the implementation of `key`, where `like` has keys."""
    kind = jax.random.key_impl(key)
    keyed: Tree = jax.tree.map(
        lambda leaf, shape: jax.random.wrap_key_data(leaf, impl=kind) if _is_key(shape) else leaf, tree, like
    )
    return keyed


def _is_key(leaf: Array | jax.ShapeDtypeStruct) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _without_keys(tree: Tree) -> Tree:
    plain: Tree = jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)
    return plain
