"""Executors: runs of one program on the devices of this process, whether resident, sharded or streamed."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Int

from lcjax.data.examples import Data
from lcjax.training.concurrency import Execution
from lcjax.training.execution.local import LocalExecutor, LocalScorer
from lcjax.training.execution.sharded import AXIS, ShardedExecutor, local_devices, replicate
from lcjax.training.execution.slots import Slot
from lcjax.training.execution.step import Part, Score
from lcjax.training.execution.streamed import StreamedExecutor, StreamedScorer, is_streamed
from lcjax.training.program import Columns, Program
from lcjax.training.storage.run_state import Job
from lcjax.typing import Array, KeyArray, Variables

__all__ = ["Executor", "Scorer", "open_executor", "open_scorer"]

R = TypeVar("R")


class _Bound(Protocol):
    """A program bound to data."""

    @property
    def data(self) -> Data:
        """The data, on the device or on all devices."""

    @property
    def orders(self) -> Int[jax.Array, "seeds n"]:
        """Orders of the training set, likewise."""

    @property
    def program(self) -> Program:
        """The program."""


@runtime_checkable
class Scorer(_Bound, Protocol):
    """Scores of one program's runs on the data of one device."""

    def score(self, variables: Variables, columns: Columns, corruption: KeyArray, part: Part, top: int = 1) -> Score:
        """Score a run on a part of a split; see `lcjax.training.execution.step.score`."""


@runtime_checkable
class Executor(_Bound, Protocol):
    """Runs of one program in slots, `width` on each device; holds the data and their orders on the devices."""

    @property
    def key(self) -> KeyArray:
        """Key of the sweep."""

    @property
    def execution(self) -> Execution:
        """Execution of the slots, whose number may shrink below its width."""

    @property
    def devices(self) -> int:
        """Number of devices; slot `i` lives on device `i // width`."""

    def compile_ahead(self, job: Job) -> None:
        """Compile everything that a run like this one needs, concurrently, where that is possible."""

    def start(self, job: Job) -> Slot:
        """Return the state of a run before its first step."""

    def insert(self, slots: Slot | None, slot: Slot, place: int, width: int) -> Slot:
        """Replace the slot at `place`; without slots make a chunk of copies, `width` on each device."""

    def select(self, slots: Slot, places: Sequence[int]) -> Slot:
        """Make a chunk of the slots at `places`, an equal number from each device, in the order of the devices."""

    def advance(self, slots: Slot, todo: Int[np.ndarray, " slots"]) -> Slot:
        """Advance every slot by its number of steps; vectorized slots by that of the first of their device."""

    def map_slots(self, function: Callable[[int, Slot, Scorer], R], slots: Slot, places: Sequence[int]) -> list[R]:
        """Call `function(place, slot, scorer)` for the slots at `places`, each with the data of its own device."""

    def close(self) -> None:
        """Stop reading ahead."""


def open_executor(
    key: KeyArray, data: Data, orders: Int[Array, "seeds n"], program: Program, execution: Execution, devices: int
) -> Executor:
    """Place data on the first `devices` of this process and return their executor; streamed data stay outside.

    Data that an earlier executor on as many devices has placed are not copied again.
    """
    if is_streamed(data):
        return StreamedExecutor(key, data, jax.device_put(orders), program, execution)
    if devices == 1:
        data, placed = jax.device_put((data, orders))
        return LocalExecutor(key, data, placed, program, execution)
    mesh = Mesh(np.array(local_devices()[:devices]), (AXIS,))
    key, data, placed = replicate((key, data, jnp.asarray(orders)), mesh)
    return ShardedExecutor(key, data, placed, program, execution, mesh)


def open_scorer(data: Data, program: Program) -> Scorer:
    """Place data on the default device and return the scorer of a program; the training set keeps its order."""
    orders = np.arange(len(data.train.targets), dtype=np.int32)[None]
    if is_streamed(data):
        return StreamedScorer(data, jax.device_put(orders), program, plain=True)
    data, placed = jax.device_put((data, orders))
    return LocalScorer(data, placed, program)
