"""Compute and tokens of a table of runs, each from the other where one is missing."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Num

from lcjax.scaling.runs import check_runs
from lcjax.typing import Array

__all__ = ["runs_compute"]


def runs_compute(
    runs: Mapping[str, Num[Array, " n"]], flops: float
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return compute and tokens of the runs of a checked table; where one is missing, by `compute = flops * N * D`.

    Raises:
        ValueError: "params", "loss" or both of "compute" and "tokens" are missing, or a value is out of its range.
    """
    wanted = [name for name in ("params", "loss") if name not in runs]
    if wanted or not {"compute", "tokens"} & set(runs):
        missing = wanted[0] if wanted else "compute or tokens"
        raise ValueError(f"The table of runs needs the column {missing}, it has {', '.join(runs)}.")
    if not (np.isfinite(flops) and flops > 0):
        raise ValueError(f"flops must be positive and finite, got {flops}.")
    check_runs(
        {name: runs[name] for name in ("params", "tokens", "compute", "loss") if name in runs}, positive_loss=False
    )
    params = np.asarray(runs["params"], float)
    tokens = np.asarray(runs["tokens"], float) if "tokens" in runs else None
    compute = np.asarray(runs["compute"], float) if "compute" in runs else flops * params * np.asarray(tokens)
    return compute, compute / (flops * params) if tokens is None else tokens
