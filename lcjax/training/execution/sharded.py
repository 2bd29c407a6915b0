"""Training on several devices of one process: each advances its own slots, and nothing passes between them."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Int

from lcjax.data.examples import Data
from lcjax.jobs.peers import process_count
from lcjax.kernels.compilation import jit
from lcjax.threads import in_threads
from lcjax.training.execution import slots as chunks
from lcjax.training.execution import step as steps
from lcjax.training.execution.local import LocalExecutor, LocalScorer
from lcjax.training.execution.slots import Slot
from lcjax.training.program import Program
from lcjax.training.storage.run_state import Job
from lcjax.typing import Array

__all__ = ["ShardedExecutor", "devices_of_job", "local_devices", "replicate"]

AXIS = "runs"
_SHARDED, _REPLICATED = PartitionSpec(AXIS), PartitionSpec()

R = TypeVar("R")
Tree = TypeVar("Tree")


def local_devices() -> list[jax.Device]:
    """Return the devices of this process that train; a single one within `jax.default_device`."""
    devices: list[jax.Device] = jax.local_devices()
    alone = jax.config.jax_default_device is not None  # type: ignore[attr-defined]
    return devices[:1] if alone else devices


def devices_of_job() -> int:
    """Return the number of devices that train, over all processes."""
    return len(local_devices()) * process_count()


def replicate(tree: Tree, mesh: Mesh) -> Tree:
    """Copy arrays to all devices of a mesh; a no-op for arrays that are there."""
    replicated: Tree = jax.device_put(tree, NamedSharding(mesh, _REPLICATED))
    return replicated


@dataclasses.dataclass(frozen=True)
class ShardedExecutor(LocalExecutor):
    """Runs of one program on several devices, which all hold key, data and orders; the slots are in equal blocks."""

    mesh: Mesh

    @property
    def devices(self) -> int:
        """Number of devices."""
        return self.mesh.size

    def compile_ahead(self, job: Job) -> None:
        """Do nothing: programs of several devices are compiled when they are first called."""

    def insert(self, slots: Slot | None, slot: Slot, place: int, width: int) -> Slot:
        """Replace the slot at `place`; without slots make a chunk of copies, `width` on each device."""
        slot = self._place(slot)
        if slots is None:
            return _broadcast(slot, mesh=self.mesh, width=width)
        return _put(slots, slot, jnp.int32(place), mesh=self.mesh)

    def select(self, slots: Slot, places: Sequence[int]) -> Slot:
        """Make a chunk of the slots at `places`, an equal number from each device."""
        return _take(slots, np.asarray(places, np.int32) % self._width(slots), mesh=self.mesh)

    def advance(self, slots: Slot, todo: Int[np.ndarray, " slots"]) -> Slot:
        """Advance every slot by its number of steps; vectorized slots by that of the first of their device."""
        execution = self.execution
        if execution.mode != "step":
            return _advance(
                slots,
                self.data,
                self.orders,
                todo,
                mesh=self.mesh,
                program=self.program,
                mapped=execution.mode == "map",
                plain=execution.plain,
                threads=execution.threads,
            )

        def advance_slot(place: int, slot: Slot, scorer: LocalScorer) -> Slot:
            for _ in range(todo[place]):
                slot = steps.advance_once(slot, scorer.data, scorer.orders, program=self.program, plain=execution.plain)
            return slot

        places = np.flatnonzero(todo).tolist()
        for place, slot in zip(places, self.map_slots(advance_slot, slots, places), strict=True):
            slots = self.insert(slots, slot, place, self._width(slots))
        return slots

    def map_slots(self, function: Callable[[int, Slot, LocalScorer], R], slots: Slot, places: Sequence[int]) -> list[R]:
        """Call `function(place, slot, scorer)` for the slots at `places`, concurrently on all devices."""
        width = self._width(slots)

        def on_device(device: int) -> list[R]:
            local = self._local(slots, device)
            return [
                function(place, chunks.pick(local, jnp.int32(place % width)), self._scorers[device])
                for place in places
                if place // width == device
            ]

        devices = sorted({place // width for place in places})
        parts = in_threads(on_device, devices, self.devices)
        results = {device: iter(part) for device, part in zip(devices, parts, strict=True)}
        return [next(results[place // width]) for place in places]

    @functools.cached_property
    def _scorers(self) -> list[LocalScorer]:
        """Scores on the data of each device."""
        return [
            LocalScorer(*self._local((self.data, self.orders), device), self.program, self.execution.plain)
            for device in range(self.devices)
        ]

    def _width(self, slots: Slot) -> int:
        return len(slots.step) // self.devices

    def _place(self, tree: Tree) -> Tree:
        return replicate(tree, self.mesh)

    def _local(self, tree: Tree, device: int) -> Tree:
        """Return the part of arrays that one device holds."""
        wanted = self.mesh.devices.flat[device]
        local: Tree = jax.tree.map(
            lambda leaf: next(s.data for s in leaf.addressable_shards if s.device == wanted), tree
        )
        return local


@jit(static_argnames=("mesh", "width"))
def _broadcast(slot: Slot, *, mesh: Mesh, width: int) -> Slot:
    local = functools.partial(chunks.broadcast_program, width=width)
    return jax.shard_map(local, mesh=mesh, in_specs=_REPLICATED, out_specs=_SHARDED, check_vma=False)(slot)


@jit(static_argnames="mesh", donate_argnames="slots")
def _put(slots: Slot, slot: Slot, place: Int[jax.Array, ""], *, mesh: Mesh) -> Slot:
    def local(slots: Slot, slot: Slot, place: Int[jax.Array, ""]) -> Slot:
        width = slots.step.shape[0]
        inner = place - width * jax.lax.axis_index(AXIS)
        inner = jnp.where((inner >= 0) & (inner < width), inner, width)  # on another device: dropped
        chunk: Slot = jax.tree.map(lambda stack, leaf: stack.at[inner].set(leaf, mode="drop"), slots, slot)
        return chunk

    specs = (_SHARDED, _REPLICATED, _REPLICATED)
    return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=_SHARDED, check_vma=False)(slots, slot, place)


@jit(static_argnames="mesh")
def _take(slots: Slot, inner: Int[Array, " slots"], *, mesh: Mesh) -> Slot:
    specs = (_SHARDED, _SHARDED)
    function = jax.shard_map(chunks.take_program, mesh=mesh, in_specs=specs, out_specs=_SHARDED, check_vma=False)
    return function(slots, jnp.asarray(inner))


@jit(static_argnames=("mesh", "program", "mapped", "plain", "threads"), donate_argnames="slots")
def _advance(
    slots: Slot,
    data: Data,
    orders: Int[jax.Array, "seeds n"],
    todo: Int[Array, " slots"],
    *,
    mesh: Mesh,
    program: Program,
    mapped: bool,
    plain: bool,
    threads: int,
) -> Slot:
    def local(slots: Slot, data: Data, orders: Int[jax.Array, "seeds n"], todo: Int[jax.Array, " width"]) -> Slot:
        width = todo.shape[0]
        size = width if width % threads else width // threads  # vectorized together on a single device
        parts = []
        for first in range(0, width, size):
            part = jax.tree.map(lambda leaf, first=first: leaf[first : first + size], slots)
            counts = todo[first : first + size]
            parts.append(steps.advance(part, data, orders, counts, program=program, mapped=mapped, plain=plain))
        chunk: Slot = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
        return chunk

    specs = (_SHARDED, _REPLICATED, _REPLICATED, _SHARDED)
    return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=_SHARDED, check_vma=False)(
        slots, data, orders, jnp.asarray(todo)
    )
