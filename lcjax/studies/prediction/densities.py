"""Gaussian densities of a network's features on their principal components."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lcjax.data.examples import Data, fingerprint
from lcjax.studies.storage import restore_or_compute
from lcjax.studies.sweeps import ignore_progress
from lcjax.theory.gaussian import Gaussian, fit_gaussian, is_full_rank
from lcjax.theory.pca import fit_pca
from lcjax.training import SweepResult, features
from lcjax.training.evaluation import Inputs
from lcjax.typing import OnProgress, Progress

__all__ = ["fit_densities"]


def fit_densities(
    trained: SweepResult,
    rows: Sequence[int],
    data: Data,
    inputs: Inputs,
    dimension: int,
    *,
    folder: Path | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[Gaussian, Gaussian]:
    """Fit Gaussians to the features of networks, on the first d principal components of their training features.

    The networks are those of `rows`, one run per seed; `inputs` are the held-out ones, `(m, ...)`. With the folder of
    the runs, moments are restored from there or stored there.

    Returns:
        Densities of training and of held-out features, with means `(r, d)` and covariances `(r, d, d)`.

    Raises:
        ValueError: features are not finite, or span fewer than d directions.
    """
    report = on_progress or ignore_progress

    def compute() -> dict[str, np.ndarray]:
        pairs = []
        for i, row in enumerate(rows):
            pairs.append(_fit_pair(trained, row, data, inputs, dimension))
            report(Progress("densities", i + 1, len(rows)))
        sides = zip(("train", "test"), zip(*pairs, strict=True), strict=True)
        return {
            f"{side}_{moment}": np.stack([getattr(density, moment) for density in densities])
            for side, densities in sides
            for moment in ("mean", "covariance")
        }

    identity = list(rows), dimension, fingerprint(inputs) if folder else ""
    moments = restore_or_compute(folder, "densities", identity, compute)
    train, test = (Gaussian(moments[f"{side}_mean"], moments[f"{side}_covariance"]) for side in ("train", "test"))
    return train, test


def _fit_pair(trained: SweepResult, row: int, data: Data, inputs: Inputs, dimension: int) -> tuple[Gaussian, Gaussian]:
    """Fit both Gaussians of one network."""
    parts = features(trained, row, data, shard=True), features(trained, row, data, inputs)
    if not all(np.isfinite(part).all() for part in parts):
        seed = trained.runs.columns["seed"][row]
        raise ValueError(f"The features of the network of seed {seed} contain nan or inf.")
    components = fit_pca(parts[0], dimension)
    train, test = (fit_gaussian(components.project(part)) for part in parts)
    for name, density in (("training", train), ("held-out", test)):
        if not bool(is_full_rank(density)):
            raise ValueError(
                f"The covariance of the {name} features on {dimension} principal components is singular: they span "
                f"fewer than {dimension} directions. Choose a smaller dimension."
            )
    return train, test
