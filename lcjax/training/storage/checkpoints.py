"""Periodic checkpoints of unfinished runs, from which an interrupted sweep resumes mid-run."""

import contextlib
import json
import logging
import shutil
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.data.examples import fingerprint
from lcjax.files import atomic_path, writing
from lcjax.jobs.peers import process_count, process_index
from lcjax.typing import Array, ArrayTree, KeyArray

__all__ = ["Checkpoints", "on_host", "with_keys"]

SECONDS = 60.0  # between two checkpoints, or more where writing one takes long
FILE = "kept.npz"
SHARE = 0.05  # largest fraction of the time that goes into writing

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
        text = json.dumps(lanes)
        sealed = {"content": text, "checksum": self._checksum(text), "arrays": self._checksum(text, arrays)}
        with writing(self._current):
            if process_count() > 1:
                leaves = {str(i): leaf for i, leaf in enumerate(jax.tree.leaves(arrays))}
                with atomic_path(self._current / FILE) as temporary:
                    np.savez(temporary, lanes=np.array(json.dumps(sealed)), **leaves)
            else:
                from orbax.checkpoint import args

                with self._manager(self._current) as manager:
                    self._count += 1
                    parts = args.Composite(lanes=args.JsonSave(sealed), arrays=args.StandardSave(arrays))
                    manager.save(self._count, args=parts)
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

    def _checksum(self, text: str, arrays: ArrayTree | None = None) -> str:
        return fingerprint({} if arrays is None else arrays, f"{self._owner} {text}")

    def _read(self, folder: Path, like: ArrayTree | None) -> Any:
        """Read the arrays, or the JSON data if `like` is `None`."""
        try:
            sealed = self._load(folder, None)
            if sealed is None:  # the process was killed before its first checkpoint was complete
                return None
            text = sealed["content"]
            if sealed["checksum"] != self._checksum(text):
                raise ValueError("the checkpoint has changed since it was written, or is another sweep's")
            if like is None:
                return json.loads(text)
            arrays = self._load(folder, like)
            if sealed["arrays"] != self._checksum(text, arrays):
                raise ValueError("the checkpoint's arrays have changed since they were written")
            return arrays
        except Exception as reason:  # Orbax raises all sorts of errors for a damaged file
            message = " ".join(str(reason).split())[:200]
            warnings.warn(f"{folder}: {message}; its unfinished runs restart.", stacklevel=3)
            return None

    def _load(self, folder: Path, like: ArrayTree | None) -> Any:
        """Load the arrays, or the JSON data if `like` is `None`, from either kind of checkpoint; None if incomplete."""
        if (folder / FILE).exists():
            with np.load(folder / FILE, allow_pickle=False) as file:
                if like is None:
                    return json.loads(file["lanes"].item())
                shapes, structure = jax.tree.flatten(like)
                leaves = [file[str(i)].view(shape.dtype).reshape(shape.shape) for i, shape in enumerate(shapes)]
                return jax.tree.unflatten(structure, leaves)
        from orbax.checkpoint import args

        with _silence("absl"), self._manager(folder) as manager:
            step = manager.latest_step()
            if step is None:
                return None
            if like is None:
                return manager.restore(step, args=args.Composite(lanes=args.JsonRestore()))["lanes"]
            empty = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)
            return manager.restore(step, args=args.Composite(arrays=args.StandardRestore(empty)))["arrays"]


@contextlib.contextmanager
def _silence(name: str) -> Iterator[None]:
    """Disable a logger: Orbax logs errors before it raises them."""
    logger = logging.getLogger(name)
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False


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
