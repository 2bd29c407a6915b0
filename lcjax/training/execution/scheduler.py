"""Schedule of the runs of one program: slots advance in chunks of steps, and are refilled and repacked in between."""

import contextlib
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np
from jaxtyping import Int

from lcjax.training.execution.executor import Executor, Scorer
from lcjax.training.execution.recording import Recording
from lcjax.training.execution.slots import Slot
from lcjax.training.storage.checkpoints import Checkpoints, on_host, with_keys
from lcjax.training.storage.run_state import Job, Outcome

__all__ = ["train"]

CHUNK_SECONDS = 0.5  # between two updates of the progress bar and chances to interrupt
REPACKED_STEPS = 500  # left to the longest run for fewer slots to be worth a compilation


def train(
    executor: Executor,
    jobs: Sequence[Job],
    checkpoints: Checkpoints | None = None,
    finished: Sequence[tuple[Job, Outcome]] = (),
) -> Iterator[tuple[int, dict[int, Outcome]]]:
    """Train jobs, longest first. After each chunk, yield the steps done by the running jobs and the new outcomes.

    A chunk ends where the first of its runs is to be recorded (in mode "map" each run at its own step), so no slot
    makes a step too many; the number of steps is traced, so nothing is compiled again. Where runs may stop early, the
    last ones of a vectorized chunk move to half as many slots as soon as they fit. If the device runs out of memory,
    the running jobs restart in half as many slots, with a warning. With checkpoints, unfinished runs resume bit for bit
    from the last one, and their steps are yielded first.

    The number of slots affects the rounding of a run. Where it shrinks, it depends on when the other runs ended, so
    that a resumed sweep replays the schedule: finished runs occupy their slots without being computed, as do the steps
    before a checkpoint.

    Args:
        executor: executor of the program.
        jobs: runs to train.
        checkpoints: checkpoints of unfinished runs.
        finished: runs of the program that an earlier process has trained, and their outcomes.
    """
    with contextlib.closing(executor):
        schedule = _Schedule(executor, jobs, checkpoints, finished)
        yield schedule.steps, {}  # shows the progress at once, while programs are compiled
        executor.compile_ahead(jobs[0])
        while schedule.queue or schedule.running or schedule.restored:
            schedule.save_if_due()
            try:
                schedule.refill()
                schedule.repack()
                failed = schedule.advance()
            except jax.errors.JaxRuntimeError as reason:
                if "RESOURCE_EXHAUSTED" not in str(reason) or schedule.width == 1:
                    raise
                schedule.halve()
                continue
            except RuntimeError as reason:  # JAX repeats the steps to find the nan, but their arguments were donated
                if not jax.config.jax_debug_nans or "deleted" not in str(reason):  # type: ignore[attr-defined]
                    raise
                rows = ", ".join(str(run.job.row) for run in schedule.running.values())
                raise FloatingPointError(
                    f"A run diverged, one of rows {rows}: a number became nan under jax_debug_nans. Without this "
                    "setting, the run is recorded with status 1. To see the operation, set it before the first sweep."
                ) from None
            outcomes = schedule.record(failed)
            yield schedule.steps, outcomes
        if checkpoints is not None:
            checkpoints.clear()


class _Schedule:
    """Runs in slots, runs from a checkpoint that wait for one, and jobs in the queue, longest last."""

    def __init__(
        self,
        executor: Executor,
        jobs: Sequence[Job],
        checkpoints: Checkpoints | None,
        finished: Sequence[tuple[Job, Outcome]],
    ) -> None:
        self.executor, self.checkpoints = executor, checkpoints
        self.width = self.widest = executor.execution.width
        self.vectorized = executor.execution.mode == "vmap"
        budget = executor.program.budget
        self.shrinks = self.vectorized and budget.may_stop
        self.queue = sorted(jobs, key=_length)
        self.running: dict[int, Recording] = {}  # by slot
        self.restored: dict[int, tuple[Recording, Slot]] = {}  # by row
        self.silent: dict[int, int] = {}  # by row: steps before this one are not computed
        self.slots: Slot | None = None
        self.chunk, self.compiled = 16, False
        if checkpoints is not None:
            self._restore(checkpoints, {job.row: job for job in jobs})
        if not self.shrinks:
            self.queue = [job for job in self.queue if job.row not in self.restored]
            return
        self.queue = sorted([*jobs, *(job for job, _ in finished)], key=_length)
        self.restored = {row: saved for row, saved in self.restored.items() if saved[0].step}
        self.silent = {row: run.step for row, (run, _) in self.restored.items()}
        self.silent |= {job.row: Recording.begin(job, budget).end(outcome) for job, outcome in finished}

    @property
    def steps(self) -> int:
        """Steps of the unfinished runs so far."""
        computed = sum(run.step for run in self.running.values() if run.job.row not in self.silent)
        return computed + sum(run.step for run, _ in self.restored.values())

    def refill(self) -> None:
        """Give free slots to restored runs, then to jobs, round-robin over the devices."""
        for place in [device * self.width + i for i in range(self.width) for device in range(self.executor.devices)]:
            if place in self.running:
                continue
            if self.restored and not self.shrinks:
                self._resume(place, next(iter(self.restored)))
            elif self.queue:
                job = self.queue.pop()
                self.running[place] = Recording.begin(job, self.executor.program.budget)
                if job.row not in self.silent:
                    self._insert(self.executor.start(job), place)

    def repack(self) -> None:
        """Move runs that may stop early to half as many slots, as often as they fit."""
        while (
            self.shrinks
            and max(Counter(place // self.width for place in self.running).values()) <= self.width // 2
            and max(run.job.budget - run.step for run in self.running.values()) >= REPACKED_STEPS
        ):
            places = [self._places_of(device) for device in range(self.executor.devices)]
            self.width //= 2
            padded = [[*some, *[0] * (self.width - len(some))] for some in places]
            if self.slots is not None:
                self.slots = self.executor.select(self.slots, [place for some in padded for place in some])
            self.running = {
                device * self.width + i: self.running[place]
                for device, some in enumerate(places)
                for i, place in enumerate(some)
            }

    def advance(self) -> Int[np.ndarray, " slots"]:
        """Advance all runs towards their next events, and return the steps at which they failed, or -1."""
        todo = np.zeros(self.width * self.executor.devices, np.int32)
        computed = [place for place, run in self.running.items() if run.job.row not in self.silent]
        for place, run in self.running.items():
            left = self.silent.get(run.job.row, run.next_event) - run.step
            todo[place] = min(left, self.chunk) if computed else left
        if self.vectorized:
            for device in range(self.executor.devices):
                least = min((todo[place] for place in self._places_of(device)), default=0)
                todo[device * self.width : (device + 1) * self.width] = least
        failed = np.full(len(todo), -1)
        if computed:
            failed = self._compute(todo)
        for place, run in self.running.items():
            run.step += int(todo[place])
        return failed

    def _compute(self, todo: Int[np.ndarray, " slots"]) -> Int[np.ndarray, " slots"]:
        """Advance the slots, and choose the length of the next chunk by the time that this one takes."""
        before = time.monotonic()
        assert self.slots is not None
        self.slots = self.executor.advance(self.slots, todo)
        failed = np.asarray(self.slots.failed)
        if self.compiled:  # the first chunk includes compilation
            made = todo.max() if self.vectorized else todo.sum() / len(self.running)
            rate = made / max(time.monotonic() - before, 1e-3)
            self.chunk = int(np.clip(rate * CHUNK_SECONDS, 1, 4 * self.chunk))
        self.compiled = True
        return failed

    def record(self, failed: Int[np.ndarray, " slots"]) -> dict[int, Outcome]:
        """Score the runs that failed or are at an event, and return the outcomes of those that ended, by row.

        Where the number of slots may shrink, failed runs keep theirs until the next event, whatever the chunks.
        """
        due = []
        for place, run in list(self.running.items()):  # a copy, because silent runs end here
            if run.job.row in self.silent:
                self._end_silence(place, run)
            elif run.step == run.next_event or (failed[place] >= 0 and not self.shrinks):
                due.append(place)
        if not due:
            return {}

        def record_slot(place: int, slot: Slot, scorer: Scorer) -> Outcome | None:
            return self.running[place].record(slot, scorer)

        assert self.slots is not None
        outcomes = self.executor.map_slots(record_slot, self.slots, due)
        return {
            self.running.pop(place).job.row: outcome
            for place, outcome in zip(due, outcomes, strict=True)
            if outcome is not None
        }

    def _end_silence(self, place: int, run: Recording) -> None:
        """At the end of the steps that are not computed, resume a run from its checkpoint or free the slot."""
        if run.step < self.silent[run.job.row]:
            return
        del self.silent[run.job.row]
        if run.job.row in self.restored:
            self._resume(place, run.job.row)
        else:
            del self.running[place]

    def _resume(self, place: int, row: int) -> None:
        self.running[place], slot = self.restored.pop(row)
        self._insert(slot, place)

    def _insert(self, slot: Slot, place: int) -> None:
        self.slots = self.executor.insert(self.slots, slot, place, self.width)

    def halve(self) -> None:
        """Return the running jobs to the queue, for half as many slots."""
        narrow = self.width // 2
        warnings.warn(f"Out of memory with {self.width} concurrent runs; continuing with {narrow}.", stacklevel=4)
        self.width = self.widest = narrow
        self.queue = sorted([*self.queue, *(run.job for run in self.running.values())], key=_length)
        self.running, self.slots = {}, None  # slots were donated to the step that failed

    def save_if_due(self) -> None:
        """Save the unfinished runs if it is time for a checkpoint."""
        if self.checkpoints is None or self.slots is None or not self.checkpoints.due:
            return
        places = sorted(place for place, run in self.running.items() if run.job.row not in self.silent)
        runs = [self.running[place] for place in places] + [run for run, _ in self.restored.values()]
        if not runs:
            return
        slots, waiting = on_host(self.slots), [on_host(slot) for _, slot in self.restored.values()]
        stacked = jax.tree.map(lambda leaf, *others: np.stack([*leaf[places], *others]), slots, *waiting)
        best = {str(i): on_host(run.best.variables) for i, run in enumerate(runs) if run.best is not None}
        lanes = [run.to_json() for run in runs]
        self.checkpoints.save({"width": self.widest, "lanes": lanes}, {"slots": stacked, "best": best})

    def _restore(self, checkpoints: Checkpoints, jobs: Mapping[int, Job]) -> None:
        """Restore unfinished runs among the jobs, except those that belong to another process.

        Any number of processes on any number of devices may have saved them; a run that two of them have resumes at its
        later step. Their slots are on the host.
        """
        for folder, saved in checkpoints.lanes():
            lanes, n = saved["lanes"], len(saved["lanes"])
            wanted = [i for i, lane in enumerate(lanes) if lane["row"] in jobs]
            if not wanted:
                continue
            shape = jax.eval_shape(lambda: self.executor.start(self.queue[-1]))
            stacked = jax.tree.map(lambda leaf, n=n: jax.ShapeDtypeStruct((n, *leaf.shape), leaf.dtype), shape)
            best = {str(i): shape.variables for i, lane in enumerate(lanes) if lane["best"] is not None}
            arrays = checkpoints.arrays(folder, {"slots": stacked, "best": best})
            if arrays is None:
                continue
            self.width = self.widest = min(self.width, saved["width"])
            for i in wanted:
                run = Recording.from_json(jobs[lanes[i]["row"]], lanes[i], arrays["best"].get(str(i)))
                if run.job.row not in self.restored or self.restored[run.job.row][0].step < run.step:
                    slot = jax.tree.map(lambda leaf, i=i: leaf[i], arrays["slots"])
                    self.restored[run.job.row] = run, with_keys(slot, shape, self.executor.key)

    def _places_of(self, device: int) -> list[int]:
        """Return the slots of one device that have a run."""
        return sorted(place for place in self.running if place // self.width == device)


def _length(job: Job) -> tuple[int, int]:
    return job.budget, -job.row
