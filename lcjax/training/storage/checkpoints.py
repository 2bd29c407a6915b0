"""The runs in the making, kept on disk now and then, so that a long training that is killed goes on from its middle."""

import json
import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Key

from lcjax.files import atomic_path

__all__ = ["Checkpoints", "on_host", "with_keys"]

SECONDS = 60.0  # between two checkpoints, or more where writing one takes long
FILE = "kept.npz"
SHARE = 0.05  # of the time, at most, goes into writing


class Checkpoints:
    """Checkpoints of one program's runs, the newest one only; each is there whole or not at all.

    Every process of every attempt at the sweep has a folder of its own, so that nobody reads what another one replaces.
    Orbax writes them; but where each of several processes keeps its own runs, for which Orbax has no way (it saves what
    process 0 has, or arrays that all processes share), they are an npz file.

    Args:
        folder: of the program; made with the first checkpoint. Orbax is imported then, and not by short sweeps.
        attempt: how often the sweep was begun before.
    """

    def __init__(self, folder: Path, attempt: int = 0) -> None:
        self.folder = folder.absolute()
        self._own = self.folder / f"{attempt}-{jax.process_index()}"
        self._attempt = attempt
        self._next = time.monotonic() + SECONDS
        self._count = 0

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() >= self._next

    def save(self, lanes: dict[str, Any], arrays: Any) -> None:
        """Replace the own checkpoint: what JSON holds, and a pytree of arrays on the host."""
        started = time.monotonic()
        if jax.process_count() > 1:
            leaves = {str(i): leaf for i, leaf in enumerate(jax.tree.leaves(arrays))}
            with atomic_path(self._own / FILE) as temporary:
                np.savez(temporary, lanes=np.array(json.dumps(lanes)), **leaves)
        else:
            from orbax.checkpoint import args

            with self._manager(self._own) as manager:
                self._count += 1
                kept = args.Composite(lanes=args.JsonSave(lanes), arrays=args.StandardSave(arrays))
                manager.save(self._count, args=kept)
        if jax.process_count() == 1:  # all that the earlier ones are needed for is in this one
            for folder in self._earlier():
                shutil.rmtree(folder, ignore_errors=True)
        spent = time.monotonic() - started
        self._next = time.monotonic() + max(SECONDS, spent / SHARE)

    def lanes(self) -> list[tuple[Path, dict[str, Any]]]:
        """What JSON holds, of each checkpoint of earlier attempts that can be read, with its folder."""
        read = [(folder, self._read(folder, None)) for folder in self._earlier()]
        return [(folder, lanes) for folder, lanes in read if lanes is not None]

    def arrays(self, folder: Path, like: Any) -> Any:
        """The arrays of the checkpoint in `folder`, a pytree as `like` (shapes suffice), on the host.

        Keys are given as the numbers that they are made of; `None` where the arrays cannot be read.
        """
        return self._read(folder, jax.eval_shape(_without_keys, like))

    def clear(self) -> None:
        """Nothing is in the making any more; what several processes kept is cleared by the store, when all are done."""
        if jax.process_count() == 1:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _earlier(self) -> list[Path]:
        """Folders of earlier attempts."""
        folders = self.folder.glob("*-*") if self.folder.exists() else []
        begun = {folder: folder.name.partition("-")[0] for folder in folders}
        return sorted(folder for folder in begun if begun[folder].isdecimal() and int(begun[folder]) < self._attempt)

    def _manager(self, folder: Path) -> Any:
        import orbax.checkpoint as ocp

        alone = ocp.options.MultiprocessingOptions(
            primary_host=jax.process_index(),
            active_processes={jax.process_index()},
            barrier_sync_key_prefix=f"process{jax.process_index()}",
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

    def _read(self, folder: Path, like: Any) -> Any:
        """The arrays, or what JSON holds if `like` is `None`."""
        try:
            if (folder / FILE).exists():
                with np.load(folder / FILE) as held:
                    if like is None:
                        return json.loads(held["lanes"].item())
                    shapes, structure = jax.tree.flatten(like)
                    leaves = [held[str(i)].view(shape.dtype).reshape(shape.shape) for i, shape in enumerate(shapes)]
                    return jax.tree.unflatten(structure, leaves)
            from orbax.checkpoint import args

            with self._manager(folder) as manager:
                step = manager.latest_step()
                if step is None:
                    return None
                if like is None:
                    return manager.restore(step, args=args.Composite(lanes=args.JsonRestore()))["lanes"]
                empty = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)
                return manager.restore(step, args=args.Composite(arrays=args.StandardRestore(empty)))["arrays"]
        except Exception as reason:  # whatever a damaged file makes Orbax raise
            told = " ".join(str(reason).split())[:200]
            warnings.warn(f"{folder}: {told}; the runs in the making begin anew.", stacklevel=3)
            return None


def on_host(tree: Any) -> Any:
    """The arrays as NumPy's, keys as the numbers that they are made of."""
    return jax.device_get(_without_keys(tree))


def with_keys(tree: Any, like: Any, key: Key[jax.Array, ""]) -> Any:
    """Numbers made keys again, of the kind of `key`, where `like` has keys."""
    kind = jax.random.key_impl(key)
    return jax.tree.map(
        lambda leaf, own: jax.random.wrap_key_data(leaf, impl=kind) if _is_key(own) else leaf, tree, like
    )


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _without_keys(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)
