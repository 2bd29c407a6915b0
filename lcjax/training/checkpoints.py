"""The runs in the making, kept on disk now and then, so that a long training that is killed goes on from its middle."""

import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import jax
from jaxtyping import Key

__all__ = ["Checkpoints"]

SECONDS = 60.0  # between two checkpoints, or more where writing one takes long
SHARE = 0.05  # of the time, at most, goes into writing


class Checkpoints:
    """Checkpoints of one program's chunk by Orbax, the newest one only; each is there whole or not at all.

    Args:
        folder: made with the first checkpoint. Orbax is imported then, and not by short sweeps.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._next = time.monotonic() + SECONDS
        self._count = 0

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() >= self._next

    def save(self, lanes: dict[str, Any], arrays: Any) -> None:
        """Replace the checkpoint: what JSON holds, and a pytree of arrays (typed keys among them)."""
        from orbax.checkpoint import args

        started = time.monotonic()
        with self._manager() as manager:
            self._count = 1 + max(self._count, manager.latest_step() or 0)
            kept = args.Composite(lanes=args.JsonSave(lanes), arrays=args.StandardSave(_without_keys(arrays)))
            manager.save(self._count, args=kept)
        spent = time.monotonic() - started
        self._next = time.monotonic() + max(SECONDS, spent / SHARE)

    def lanes(self) -> dict[str, Any] | None:
        """What JSON holds, of the newest checkpoint; `None` where there is none that can be read."""
        if not self.folder.exists():
            return None
        from orbax.checkpoint import args

        return self._read(args.Composite(lanes=args.JsonRestore()), "lanes")

    def arrays(self, like: Any, *, key: Key[jax.Array, ""]) -> Any:
        """The arrays of the newest checkpoint, a pytree as `like` (shapes suffice), with keys of the kind of `key`.

        `None` where they cannot be read.
        """
        from orbax.checkpoint import args

        plain = args.StandardRestore(jax.eval_shape(_without_keys, like))
        found = self._read(args.Composite(arrays=plain), "arrays")
        if found is None:
            return None
        kind = jax.random.key_impl(key)
        return jax.tree.map(
            lambda leaf, own: jax.random.wrap_key_data(leaf, impl=kind) if _is_key(own) else leaf, found, like
        )

    def clear(self) -> None:
        """Nothing is in the making any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _manager(self) -> Any:
        import orbax.checkpoint as ocp

        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
        return ocp.CheckpointManager(self.folder, options=options)

    def _read(self, what: Any, name: str) -> Any:
        try:
            with self._manager() as manager:
                step = manager.latest_step()
                return None if step is None else manager.restore(step, args=what)[name]
        except Exception as reason:  # whatever a damaged file makes Orbax raise
            told = " ".join(str(reason).split())[:200]
            warnings.warn(f"{self.folder}: {told}; the runs in the making begin anew.", stacklevel=3)
            return None


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _without_keys(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)
