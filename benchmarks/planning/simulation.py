"""Simulation of collections on measured curves, round by round, for all values of each method's setting."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float

from benchmarks.planning.problems import Problem
from lcjax.planning.requirement import LEAST_STEP
from lcjax.planning.schedule import Schedules, cheapest_schedules
from lcjax.planning.selection import Criterion, best_options, schedule_options

__all__ = ["Method", "Outcome", "PointMethod", "SampleMethod", "simulate"]

State = tuple[int, int]  # problem, and index of its largest measured size


class Method(Protocol):
    """A way to choose the next size; `settings` are the values of the number that trades cost for failures."""

    name: str
    settings: Sequence[float]

    def prepare(self, states: Sequence[State]) -> None:
        """Compute what the decisions at states need."""

    def next_size(self, state: State, setting: float, rounds: int) -> float | None:
        """Return the size to collect up to with some rounds left, or None to stop."""


@dataclasses.dataclass
class SampleMethod:
    """The exact plan for a sample of the required size, with a penalty for missing the target.

    Costs are in units of the examples at hand at the beginning, and so is the penalty, the setting.

    Attributes:
        name: name of the method.
        settings: penalties.
        problems: all problems.
        sample: function of states that returns required sizes, `(b, k)`.
        shape: function of the sizes, the size at hand and the pool that returns the sizes to plan for.
    """

    name: str
    settings: Sequence[float]
    problems: Sequence[Problem]
    sample: Callable[[Sequence[State]], Float[np.ndarray, "b k"]]
    shape: Callable[[Float[np.ndarray, " k"], float, float], Float[np.ndarray, " k"]]
    rounds: int = 5
    schedules: dict[State, Schedules] = dataclasses.field(default_factory=dict)

    def prepare(self, states: Sequence[State]) -> None:
        """Compute the schedules for all numbers of rounds."""
        new = [state for state in states if state not in self.schedules]
        if not new:
            return
        for state, sizes in zip(new, self.sample(new), strict=True):
            problem, start = self.problems[state[0]], float(self.problems[state[0]].size[state[1]])
            required = self.shape(np.maximum(sizes, start * (1 + LEAST_STEP)), start, problem.pool)
            cost = 1 / float(problem.size[problem.cut])
            self.schedules[state] = cheapest_schedules(
                required, start, cost=cost, rounds=self.rounds, limit=problem.pool
            )

    def next_size(self, state: State, setting: float, rounds: int) -> float | None:
        """Return the first size of the plan for the rounds left."""
        all_rounds = self.schedules[state]
        parts = {name: getattr(all_rounds, name)[: rounds + 1] for name in ("expected", "most", "before")}
        schedules = dataclasses.replace(all_rounds, **parts)
        options = schedule_options(schedules)
        chosen = best_options([options], Criterion(penalty=setting))
        assert chosen is not None
        path = schedules.path(int(options.rounds[chosen[0]]), int(options.last[chosen[0]]))
        return float(schedules.size[path[0]]) if path else None


@dataclasses.dataclass
class PointMethod:
    """The estimate of a fitted power law, corrected by the setting.

    Attributes:
        name: name of the method.
        settings: corrections.
        problems: all problems.
        estimate: function of a state and a setting that returns the required size.
    """

    name: str
    settings: Sequence[float]
    problems: Sequence[Problem]
    estimate: Callable[[State, float], float]

    def prepare(self, states: Sequence[State]) -> None:
        """Do nothing."""

    def next_size(self, state: State, setting: float, rounds: int) -> float | None:
        """Return the estimate, at least the size at hand plus 5 % and at most the whole data set."""
        problem = self.problems[state[0]]
        least = problem.size[state[1]] * (1 + LEAST_STEP)
        return float(np.clip(self.estimate(state, setting), least, problem.pool))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Results of a method for every setting and problem.

    Attributes:
        cost: examples collected, in units of those at hand, `(p, b)`; the last setting collects everything at once.
        failed: True where the target was not met, `(p, b)`.
        rounds: rounds made, `(p, b)`.
    """

    cost: Float[np.ndarray, "p b"]
    failed: Bool[np.ndarray, "p b"]
    rounds: Float[np.ndarray, "p b"]


def simulate(
    method: Method, problems: Sequence[Problem], horizons: Sequence[int], progress: Callable[[str], None] | None = None
) -> Mapping[int, Outcome]:
    """Collect by a method for every setting, problem and number of rounds.

    A round ends at the next measured size at or above the one asked for; the collection ends when the error measured
    there is at or below the target, when the rounds are used up, when the whole data set is collected, or when the
    method stops. The method sees all measurements up to the size that it has collected. One more setting is added for
    every method: to collect the whole data set at once.
    """
    shape = len(horizons), len(method.settings), len(problems)
    at = np.tile([problem.cut for problem in problems], (*shape[:2], 1))
    active, failed, made = np.ones(shape, bool), np.ones(shape, bool), np.zeros(shape)
    for turn in range(max(horizons)):
        for i, horizon in enumerate(horizons):
            active[i] &= turn < horizon
        places = np.argwhere(active)
        states = sorted({(int(b), int(at[h, p, b])) for h, p, b in places})
        if progress:
            progress(f"{method.name}: round {turn + 1}, {len(states)} states")
        method.prepare(states)
        for h, p, b in places:
            state, problem = (int(b), int(at[h, p, b])), problems[b]
            size = method.next_size(state, method.settings[p], horizons[h] - turn)
            if size is None:
                active[h, p, b] = False
                continue
            index = min(int(np.searchsorted(problem.size, size * (1 - 1e-9))), len(problem.size) - 1)
            index = max(index, state[1] + 1)
            at[h, p, b], made[h, p, b] = index, made[h, p, b] + 1
            failed[h, p, b] = problem.error[index] > problem.target
            active[h, p, b] = failed[h, p, b] and index < len(problem.size) - 1
    sizes = np.stack([problem.size[at[:, :, b]] for b, problem in enumerate(problems)], axis=-1)
    first = np.array([problem.size[problem.cut] for problem in problems])
    cost = (sizes - first) / first
    everything = np.array([[problem.pool for problem in problems]]) / first - 1
    none, one = np.zeros(everything.shape, bool), np.ones(everything.shape)
    return {
        horizon: Outcome(
            *(np.concatenate(parts) for parts in ((cost[i], everything), (failed[i], none), (made[i], one)))
        )
        for i, horizon in enumerate(horizons)
    }
