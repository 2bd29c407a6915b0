"""Training and scoring on one device that holds all data."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from lcjax.data.examples import Data
from lcjax.threads import cores, in_threads
from lcjax.training.concurrency import Execution
from lcjax.training.execution import slots as chunks
from lcjax.training.execution import step as steps
from lcjax.training.execution.programs import compile_programs
from lcjax.training.execution.slots import Slot
from lcjax.training.program import Columns, Program
from lcjax.training.storage.run_state import Job
from lcjax.typing import KeyArray, Variables

__all__ = ["LocalExecutor", "LocalScorer"]

R = TypeVar("R")
Tree = TypeVar("Tree")


@dataclasses.dataclass(frozen=True)
class LocalScorer:
    """Scores of one program's runs on data that a device holds; see `lcjax.training.execution.executor.Scorer`."""

    data: Data
    orders: Int[jax.Array, "seeds n"]
    program: Program
    plain: bool = False

    def score(
        self, variables: Variables, columns: Columns, corruption: KeyArray, part: steps.Part, top: int = 1
    ) -> steps.Score:
        """Score a run on a part of a split."""
        return steps.score(
            variables, columns, self.data, part, corruption, program=self.program, top=top, plain=self.plain
        )


@dataclasses.dataclass(frozen=True)
class LocalExecutor:
    """Runs of one program on one device; see `lcjax.training.execution.executor.Executor`."""

    key: KeyArray
    data: Data
    orders: Int[jax.Array, "seeds n"]
    program: Program
    execution: Execution

    @property
    def devices(self) -> int:
        """Number of devices: one."""
        return 1

    @property
    def scorer(self) -> LocalScorer:
        """Scores on the same data."""
        return LocalScorer(self.data, self.orders, self.program, self.execution.plain)

    def compile_ahead(self, job: Job) -> None:
        """Compile everything that a run like this one needs."""
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # such as no memory: the run itself will tell
            compile_programs(self.key, self.data, self.orders, self.program, self.execution, job, threads=cores())

    def start(self, job: Job) -> Slot:
        """Return the state of a run before its first step."""
        trees = self._place(job.initial), self._place(job.mask)
        numbers = jnp.int32(job.order), jnp.int32(job.budget)
        return steps.start(self.key, self.data, self.orders, *trees, job.columns, *numbers, program=self.program)

    def insert(self, slots: Slot | None, slot: Slot, place: int, width: int) -> Slot:
        """Replace the slot at `place`; without slots make a chunk of copies."""
        return chunks.broadcast(slot, width=width) if slots is None else chunks.put(slots, slot, jnp.int32(place))

    def select(self, slots: Slot, places: Sequence[int]) -> Slot:
        """Make a chunk of the slots at `places`."""
        return chunks.take(slots, jnp.asarray(places, jnp.int32))

    def advance(self, slots: Slot, todo: Int[np.ndarray, " slots"]) -> Slot:
        """Advance every slot by its number of steps, in as many threads as the execution has."""
        threads, plain, mapped = self.execution.threads, self.execution.plain, self.execution.mode == "map"
        if self.execution.mode == "step":
            return self._advance_singly(slots, todo)
        size = len(todo) if len(todo) % threads else len(todo) // threads

        def advance_part(first: int) -> Slot:
            part = slots if size == len(todo) else chunks.take(slots, np.arange(first, first + size, dtype=np.int32))
            counts = jnp.asarray(todo[first : first + (size if mapped else 1)])
            return steps.advance(part, self.data, self.orders, counts, program=self.program, mapped=mapped, plain=plain)

        if size == len(todo):
            return advance_part(0)
        head = advance_part(0)  # compiled here, once; it runs while the others start
        return chunks.join([head, *in_threads(advance_part, range(size, len(todo), size), threads - 1)])

    def map_slots(self, function: Callable[[int, Slot, LocalScorer], R], slots: Slot, places: Sequence[int]) -> list[R]:
        """Call `function(place, slot, scorer)` for the slots at `places`."""
        return [function(place, chunks.pick(slots, jnp.int32(place)), self.scorer) for place in places]

    def close(self) -> None:
        """Do nothing: no data are read ahead."""

    def _place(self, tree: Tree) -> Tree:
        """Copy arrays to where the data are."""
        return tree

    def _advance_singly(self, slots: Slot, todo: Int[np.ndarray, " slots"]) -> Slot:
        """Advance slots by a program of one step, as many concurrently as there are processors."""
        places, plain = np.flatnonzero(todo).tolist(), self.execution.plain
        alone = len(places) < 2

        def advance_slot(slot: Slot, count: int) -> Slot:
            for _ in range(count):
                slot = steps.advance_once(slot, self.data, self.orders, program=self.program, plain=plain)
            return slot if alone else jax.block_until_ready(slot)  # else steps of several threads would queue up

        work = [(chunks.pick(slots, jnp.int32(place)), int(todo[place])) for place in places]
        if alone:
            ends = [advance_slot(*item) for item in work]
        else:
            slot, count = work[0]
            work[0] = advance_slot(slot, 1), count - 1  # compiled here, once
            ends = in_threads(lambda item: advance_slot(*item), work, min(len(work), cores()))
        for place, slot in zip(places, ends, strict=True):
            slots = chunks.put(slots, slot, jnp.int32(place))
        return slots
