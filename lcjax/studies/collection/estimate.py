"""Plan of a collection: the trainings that are left, and their time by those that have ended."""

from collections.abc import Mapping, Sequence

import numpy as np

from lcjax.studies.collection.measurements import Training
from lcjax.studies.dry_run import Plan

__all__ = ["plan_trainings"]

DISK = 400  # bytes of a stored training, about


def plan_trainings(
    tasks: Sequence[tuple[int, int]], done: Mapping[tuple[int, int], Training], concurrent: int = 1
) -> Plan:
    """Return the plan of a collection.

    The time of a training is that of those with as many examples, or on the straight line through the logarithms of
    the times of several sizes.

    Args:
        tasks: size and repeat of every training.
        done: those that have ended.
        concurrent: number of concurrent trainings.

    Examples:
        >>> done = {(n, 0): Training(n, 0, {}, n / 100) for n in (100, 200)}
        >>> plan = plan_trainings([(n, 0) for n in (100, 200, 400)], done)
        >>> plan.trainings, plan.finished, round(plan.seconds, 6)
        (3, 2, 4.0)
    """
    left = np.array([size for size, repeat in tasks if (size, repeat) not in done], float)
    details = {"examples of all trainings together": f"{int(left.sum()):,}", "concurrent trainings": concurrent}
    disk = DISK * len(left)
    size = np.array([one.size for one in done.values()], float)
    seconds = np.maximum([one.seconds for one in done.values()], 1e-3)
    known = np.isfinite(seconds)
    if not known.any():
        reason = "an estimate follows from the trainings in the folder"
        return Plan("collect", len(tasks), len(done), None, None, reason, None, disk, details)
    x, y = np.log(size[known]), np.log(seconds[known])
    slope, level = np.polyfit(x, y, 1) if len(np.unique(x)) > 1 else (0.0, float(np.mean(y)))
    total = float(np.exp(level + slope * np.log(left)).sum()) / max(1, min(concurrent, len(left)))
    basis = f"{int(known.sum())} trainings in the folder, whose time grows with size ** {slope:.2g}"
    return Plan("collect", len(tasks), len(done), None, total, basis, None, disk, details)
