"""Plan of a collection: the trainings that are left, and their time by those that have ended."""

from collections.abc import Sequence

import numpy as np

from lcjax.studies.dry_runs.plan import Plan

__all__ = ["plan_trainings"]

DISK = 400  # bytes of a stored training, about


def plan_trainings(
    left: Sequence[float], done: Sequence[tuple[float, float]], concurrent: int = 1, *, is_first: bool = False
) -> Plan:
    """Return the plan of a collection.

    The time of a training is that of those with as many examples, or on the straight line through the logarithms of
    the times of several sizes.

    Args:
        left: size of each training that is left.
        done: size and seconds of each training that has ended.
        concurrent: number of concurrent trainings.
        is_first: True if further sizes are chosen after these trainings.

    Examples:
        >>> plan = plan_trainings([400.0], [(100.0, 1.0), (200.0, 2.0)])
        >>> plan.trainings, plan.finished, round(plan.seconds, 6)
        (3, 2, 4.0)
    """
    sizes = np.array(left, float)
    total = len(left) + len(done)
    details = {"examples of all trainings together": f"{int(sizes.sum()):,}", "concurrent trainings": concurrent}
    disk = DISK * len(left)
    size, seconds = np.array(done, float).reshape(-1, 2).T
    known = np.isfinite(seconds)
    if not known.any():
        reason = "an estimate follows from the trainings in the folder"
        return Plan("collect", total, len(done), None, None, reason, None, disk, details, is_first)
    x, y = np.log(size[known]), np.log(np.maximum(seconds[known], 1e-3))
    slope, level = np.polyfit(x, y, 1) if len(np.unique(x)) > 1 else (0.0, float(np.mean(y)))
    time = float(np.exp(level + slope * np.log(sizes)).sum()) / max(1, min(concurrent, len(left)))
    basis = f"{int(known.sum())} trainings in the folder, whose time grows with size ** {slope:.2g}"
    return Plan("collect", total, len(done), None, time, basis, None, disk, details, is_first)
