"""Where runs train: slots over the devices of a process, rows of a table over the processes of a job."""

import dataclasses
import functools
import heapq
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Int

from lcjax.data.examples import Data
from lcjax.kernels.compilation import jit
from lcjax.threads import in_threads
from lcjax.training.execution import step as steps
from lcjax.training.execution.execution import Execution
from lcjax.training.program import Program

__all__ = ["Placement", "deal", "devices_of_job", "local_devices"]

AXIS = "runs"
_SHARDED, _REPLICATED = PartitionSpec(AXIS), PartitionSpec()


def local_devices() -> list[jax.Device]:
    """The devices of this process that train; one only within `jax.default_device`."""
    alone = jax.config.jax_default_device is not None  # type: ignore[attr-defined]
    return jax.local_devices()[:1] if alone else jax.local_devices()


def devices_of_job() -> int:
    """How many devices train in all processes together."""
    return len(local_devices()) * jax.process_count()


def deal(tables: Sequence[Sequence[int]], budget: Int[np.ndarray, " w"], count: int) -> dict[int, int]:
    """Which process trains which row: within each program the longest first, each to whom has the least to do so far.

    Args:
        tables: rows that are to be trained, one list a program.
        budget: steps of every row of the table.
        count: processes.

    Examples:
        >>> deal([[0, 1, 2, 3]], np.array([10, 30, 20, 10]), 2)
        {1: 0, 2: 1, 0: 1, 3: 0}
    """
    loads = [(0, process) for process in range(count)]
    found = {}
    for rows in tables:
        for row in sorted(rows, key=lambda row: (-int(budget[row]), row)):
            load, process = loads[0]
            heapq.heapreplace(loads, (load + int(budget[row]), process))
            found[row] = process
    return found


@dataclasses.dataclass(frozen=True)
class Placement:
    """The slots of a chunk on some devices of this process: `width` on each, in blocks along their leading axis.

    Every device trains the runs in its own slots; nothing passes between devices. On one device all this is what
    `lcjax.training.execution.step` does, with no sharding at all.

    Attributes:
        data: on every device.
        orders: on every device.
        mesh: the devices, `None` for one.
    """

    data: Data
    orders: Any
    mesh: Mesh | None

    @classmethod
    def of(cls, data: Data, orders: Any, count: int) -> "Placement":
        """The first `count` devices of this process, and the data on them."""
        mesh = Mesh(np.array(local_devices()[:count]), (AXIS,)) if count > 1 else None
        target = None if mesh is None else NamedSharding(mesh, _REPLICATED)
        return cls(jax.device_put(data, target), jax.device_put(orders, target), mesh)

    @property
    def count(self) -> int:
        """Number of devices."""
        return 1 if self.mesh is None else self.mesh.size

    def places(self, width: int) -> list[int]:
        """All slots, in the order in which they are filled: one of every device, then the next of every device."""
        return [device * width + i for i in range(width) for device in range(self.count)]

    def replicated(self, tree: Any) -> Any:
        """The arrays on every device."""
        return tree if self.mesh is None else jax.device_put(tree, NamedSharding(self.mesh, _REPLICATED))

    def chunk(self, slot: steps.Slot, width: int) -> steps.Slot:
        """Slots that are copies of one."""
        if self.mesh is None:
            return steps.broadcast(slot, width=width)
        return _broadcast(self.replicated(slot), mesh=self.mesh, width=width)

    def put(self, slots: steps.Slot, slot: steps.Slot, place: int) -> steps.Slot:
        """The chunk with `slot` at `place`."""
        if self.mesh is None:
            return steps.put(slots, slot, jnp.int32(place))
        return _put(slots, self.replicated(slot), jnp.int32(place), mesh=self.mesh)

    def take(self, slots: steps.Slot, places: Sequence[int]) -> steps.Slot:
        """A chunk of the slots at `places`, of which each device has an equal share, its own ones."""
        if self.mesh is None:
            return steps.take(slots, jnp.asarray(places, jnp.int32))
        inner = np.asarray(places, np.int32) % (len(slots.step) // self.count)
        return _take(slots, inner, mesh=self.mesh)

    def slot(self, slots: steps.Slot, place: int) -> steps.Slot:
        """One slot, on its own device."""
        if self.mesh is None:
            return steps.pick(slots, jnp.int32(place))
        device, inner = divmod(place, len(slots.step) // self.count)
        return steps.pick(self._on(slots, device), jnp.int32(inner))

    def advance(
        self, slots: steps.Slot, todo: Int[np.ndarray, " slots"], program: Program, how: Execution
    ) -> steps.Slot:
        """The slots of several devices after so many steps each; vectorized ones as the first of their device."""
        assert self.mesh is not None
        if how.mode != "step":
            return _advance(
                slots,
                self.data,
                self.orders,
                todo,
                mesh=self.mesh,
                program=program,
                mapped=how.mode == "map",
                plain=how.plain,
                threads=how.threads,
            )
        places = np.flatnonzero(todo).tolist()

        def made(place: int, data: Data, orders: Any) -> steps.Slot:
            slot = self.slot(slots, place)
            for _ in range(todo[place]):
                slot = steps.advance_once(slot, data, orders, program=program, plain=how.plain)
            return slot

        for place, slot in zip(places, self.each(made, places, len(todo) // self.count), strict=True):
            slots = self.put(slots, slot, place)
        return slots

    def each(self, function: Callable[[int, Data, Any], Any], places: Sequence[int], width: int) -> list[Any]:
        """`function(place, data, orders)` for each slot, with the data on its own device; all devices at once."""
        if self.mesh is None:
            return [function(place, self.data, self.orders) for place in places]

        def on(device: int) -> list[Any]:
            return [function(place, *self._views[device]) for place in places if place // width == device]

        devices = sorted({place // width for place in places})
        found = {device: iter(part) for device, part in zip(devices, in_threads(on, devices, self.count), strict=True)}
        return [next(found[place // width]) for place in places]

    @functools.cached_property
    def _views(self) -> list[tuple[Data, Any]]:
        return [self._on((self.data, self.orders), device) for device in range(self.count)]

    def _on(self, tree: Any, device: int) -> Any:
        """What one device holds of arrays."""
        assert self.mesh is not None
        wanted = self.mesh.devices.flat[device]
        return jax.tree.map(lambda leaf: next(s.data for s in leaf.addressable_shards if s.device == wanted), tree)


@jit(static_argnames=("mesh", "width"))
def _broadcast(slot: steps.Slot, *, mesh: Mesh, width: int) -> steps.Slot:
    def local(slot: steps.Slot) -> steps.Slot:
        return steps.broadcast(slot, width=width)

    return jax.shard_map(local, mesh=mesh, in_specs=_REPLICATED, out_specs=_SHARDED, check_vma=False)(slot)


@jit(static_argnames="mesh", donate_argnames="slots")
def _put(slots: steps.Slot, slot: steps.Slot, place: jax.Array, *, mesh: Mesh) -> steps.Slot:
    def local(slots: steps.Slot, slot: steps.Slot, place: jax.Array) -> steps.Slot:
        width = slots.step.shape[0]
        inner = place - width * jax.lax.axis_index(AXIS)
        inner = jnp.where((inner >= 0) & (inner < width), inner, width)  # another device's: dropped
        return jax.tree.map(lambda all_, one: all_.at[inner].set(one, mode="drop"), slots, slot)

    specs = (_SHARDED, _REPLICATED, _REPLICATED)
    return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=_SHARDED, check_vma=False)(slots, slot, place)


@jit(static_argnames="mesh")
def _take(slots: steps.Slot, inner: Int[Any, " slots"], *, mesh: Mesh) -> steps.Slot:
    specs = (_SHARDED, _SHARDED)
    return jax.shard_map(steps.take, mesh=mesh, in_specs=specs, out_specs=_SHARDED, check_vma=False)(slots, inner)


@jit(static_argnames=("mesh", "program", "mapped", "plain", "threads"), donate_argnames="slots")
def _advance(
    slots: steps.Slot,
    data: Data,
    orders: Int[jax.Array, "seeds n"],
    todo: Int[Any, " slots"],
    *,
    mesh: Mesh,
    program: Program,
    mapped: bool,
    plain: bool,
    threads: int,
) -> steps.Slot:
    def local(
        slots: steps.Slot, data: Data, orders: Int[jax.Array, "seeds n"], todo: Int[jax.Array, " width"]
    ) -> steps.Slot:
        width = todo.shape[0]
        size = width if width % threads else width // threads  # what is vectorized together on one device alone
        parts = []
        for first in range(0, width, size):
            own = jax.tree.map(lambda leaf, first=first: leaf[first : first + size], slots)
            counts = todo[first : first + size]
            parts.append(steps.advance(own, data, orders, counts, program=program, mapped=mapped, plain=plain))
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)

    specs = (_SHARDED, _REPLICATED, _REPLICATED, _SHARDED)
    return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=_SHARDED, check_vma=False)(
        slots, data, orders, todo
    )
