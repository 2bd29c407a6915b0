"""Plan of a collection: the trainings that are left, and their time by those that have ended."""

from collections.abc import Mapping, Sequence

import numpy as np

from lcjax.studies.collection.costs import CostLimit, predict_cost
from lcjax.studies.collection.measurements import Training
from lcjax.studies.dry_run import Plan

__all__ = ["plan_trainings"]

DISK = 400  # bytes of a stored training, about


def plan_trainings(
    tasks: Sequence[tuple[int, int]],
    done: Mapping[tuple[int, int], Training],
    concurrent: int = 1,
    *,
    is_first: bool = False,
) -> Plan:
    """Return the plan of a collection.

    The time of a training is predicted from its size as in `predict_cost`.

    Args:
        tasks: size and repeat of every training.
        done: those that have ended.
        concurrent: number of concurrent trainings.
        is_first: True if further trainings depend on the results of these.

    Examples:
        >>> done = {(n, 0): Training(n, 0, {}, n / 100) for n in (100, 200)}
        >>> plan = plan_trainings([(n, 0) for n in (100, 200, 400)], done)
        >>> plan.trainings, plan.finished, round(plan.seconds, 6)
        (3, 2, 4.0)
    """
    left = np.array([size for size, repeat in tasks if (size, repeat) not in done], float)
    details = {"examples of all trainings together": f"{int(left.sum()):,}", "concurrent trainings": concurrent}
    disk = DISK * len(left)
    rows = [one for one in done.values() if np.isfinite(one.seconds)]
    price = predict_cost(CostLimit(np.inf), rows)
    if price is None:
        reason = "an estimate follows from the trainings in the folder"
        return Plan("collect", len(tasks), len(done), None, None, reason, None, disk, details, is_first)
    total = float(price(left).sum()) / max(1, min(concurrent, len(left)))
    basis = f"{len(rows)} trainings in the folder"
    return Plan("collect", len(tasks), len(done), None, total, basis, None, disk, details, is_first)
