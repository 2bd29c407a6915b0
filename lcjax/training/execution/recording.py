"""Recorded steps of a run: its scores there, early stopping, and the outcome at its end."""

import dataclasses
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Bool

from lcjax.data.examples import Data
from lcjax.training.execution.executor import Scorer
from lcjax.training.execution.slots import Slot
from lcjax.training.execution.step import Part, Score
from lcjax.training.program import Budget
from lcjax.training.storage.run_state import Job, Outcome
from lcjax.typing import Variables

__all__ = ["Best", "Recording"]

RECORDED_EXAMPLES = 2048  # of the shard, before the end

Scores: TypeAlias = tuple[float, float, float, float]  # loss and error, on the shard and the validation set


@dataclasses.dataclass(frozen=True)
class Best:
    """Variables with the lowest validation error so far; `order` is the sort key of recorded steps."""

    step: int
    order: tuple[float, ...]
    variables: Variables


@dataclasses.dataclass
class Recording:
    """A run in training, as the host knows it."""

    job: Job
    events: list[int]  # steps at which it is recorded, the last one its last step
    step: int = 0  # steps so far
    scores: list[Scores] = dataclasses.field(default_factory=list)  # at the events so far
    best: Best | None = None  # with patience, the best variables so far
    stale: int = 0  # recorded steps since the best

    @classmethod
    def begin(cls, job: Job, budget: Budget) -> "Recording":
        """Return the recording of a run before its first step, with evenly spaced events."""
        return cls(job, [-(-job.budget * i // budget.records) for i in range(1, budget.records + 1)])

    @classmethod
    def from_json(cls, job: Job, saved: dict[str, Any], variables: Variables | None) -> "Recording":
        """Rebuild the recording of a run from a checkpoint; `variables` are the best ones."""
        best = None
        if saved["best"] is not None and variables is not None:
            step, *order = saved["best"]
            best = Best(step, tuple(order), variables)
        scores = [tuple(scores) for scores in saved["scores"]]
        return cls(job, saved["events"], saved["step"], scores, best, saved["stale"])

    def to_json(self) -> dict[str, Any]:
        """Return all except arrays in plain types, for a checkpoint."""
        return {
            "row": self.job.row,
            "events": self.events,
            "step": self.step,
            "scores": self.scores,
            "stale": self.stale,
            "best": None if self.best is None else [self.best.step, *self.best.order],
        }

    def end(self, outcome: Outcome) -> int:
        """Return the step at which the run freed its slot: if it failed, the first event without a finite score."""
        if outcome.status == 0:
            return outcome.steps
        return self.events[int(np.argmin(np.isfinite(outcome.train_loss)))]

    @property
    def next_event(self) -> int:
        """Step at which the run is recorded next."""
        return self.events[len(self.scores)]

    def record(self, slot: Slot, scorer: Scorer) -> Outcome | None:
        """Score the run, which has failed or is at an event; return its outcome if it ends here, else None."""
        data, budget = scorer.data, scorer.program.budget
        if int(slot.failed) >= 0:
            return self._fail(int(slot.failed), data)
        n, v = len(data.train.targets), len(data.validation.targets)
        shard = Part(
            data.train, scorer.orders[self.job.order], self.job.columns["size"], np.zeros((), np.int32), train=True
        )
        held_out = Part.whole(data.validation, n)

        def score(variables: Variables, part: Part) -> Score:
            return scorer.score(variables, self.job.columns, slot.corruption, part)

        variables, step, last = slot.variables, self.step, self.step == self.job.budget
        few = dataclasses.replace(shard, count=np.asarray(min(int(shard.count), RECORDED_EXAMPLES), np.int32))
        train, validation = score(variables, shard if last else few), score(variables, held_out)
        if not np.isfinite(float(train.loss)):
            return self._fail(step, data)
        if budget.stop_when_fit and not last and float(train.error) == 0:
            train = score(variables, shard)
            last = float(train.error) == 0
        if budget.patience:
            self._compare(scorer, validation, variables)
            last = last or self.stale >= budget.patience
        while len(self.scores) < len(self.events) and self.next_event == step:
            self.scores.append(_scores(train, validation))
        if not last:
            return None
        if self.best is not None and self.best.step < step:
            variables, step = self.best.variables, self.best.step
            validation = score(variables, held_out)
        if budget.patience:
            train = score(variables, shard)
        reached = min(len(self.scores), len(self.events) - 1)
        rest = len(self.events) - reached
        self.events[reached:], self.scores[reached:] = [step] * rest, [_scores(train, validation)] * rest
        test = None if data.test is None else score(variables, Part.whole(data.test, n + v))
        kept = jax.device_get(variables) if self.job.keep else None
        return self._outcome(0, self.step, np.asarray(validation.wrong), test, kept)

    def _compare(self, scorer: Scorer, validation: Score, variables: Variables) -> None:
        """Compare the step with the best one."""
        loss, error, scoring = float(validation.loss), float(validation.error), scorer.program.scoring
        order = (error, loss) if scoring is None else scoring.order(loss, error)
        order = tuple(np.nan_to_num(order, nan=np.inf, posinf=np.inf).tolist())  # nothing is lower than nan
        if self.best is None or order < self.best.order:
            self.best, self.stale = Best(self.step, order, variables), 0
        else:
            self.stale += 1

    def _fail(self, step: int, data: Data) -> Outcome:
        """Return the outcome of a run that diverged: all examples are wrong."""
        self.scores += [(np.nan,) * 4] * (len(self.events) - len(self.scores))
        outcome = self._outcome(1, step, np.ones(len(data.validation.targets), bool), None, None)
        if data.test is not None:
            outcome.wrong, outcome.test_error = np.ones(len(data.test.targets), bool), 1.0
        return outcome

    def _outcome(
        self,
        status: int,
        steps: int,
        validation_wrong: Bool[np.ndarray, " v"],
        test: Score | None,
        variables: Variables | None,
    ) -> Outcome:
        train_loss, train_error, validation_loss, validation_error = (list(c) for c in zip(*self.scores, strict=True))
        return Outcome(
            status=status,
            steps=steps,
            recorded_step=self.events,
            train_loss=train_loss,
            train_error=train_error,
            validation_loss=validation_loss,
            validation_error=validation_error,
            test_loss=np.nan if test is None else float(test.loss),
            test_error=np.nan if test is None else float(test.error),
            validation_wrong=validation_wrong,
            wrong=np.zeros(0, bool) if test is None else np.asarray(test.wrong),
            variables=variables,
        )


def _scores(train: Score, validation: Score) -> Scores:
    return float(train.loss), float(train.error), float(validation.loss), float(validation.error)
