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
    is_given: bool = True,
    folder: Path | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[Gaussian, Gaussian]:
    """Fit Gaussians to the features of networks, on the first d principal components of their training features.

    Args:
        trained: a sweep with the variables of the networks.
        rows: runs to use, one per seed.
        data: the task.
        inputs: held-out inputs, `(m, ...)`.
        dimension: number of components d.
        is_given: True if d was given by the user; a measured d is lowered to the number of directions that the
            features span.
        folder: folder of the runs, in which moments are stored and from which they are restored.
        on_progress: progress callback.

    Returns:
        Densities of training and of held-out features, with means `(r, d)` and covariances `(r, d, d)`.

    Raises:
        ValueError: features are not finite; they span fewer than d directions and d was given; or they are constant.
    """
    report = on_progress or ignore_progress

    def compute() -> dict[str, np.ndarray]:
        pairs = []
        for i, row in enumerate(rows):
            pairs.append(_fit_pair(trained, row, data, inputs, dimension, is_given))
            report(Progress("densities", i + 1, len(rows)))
        least = min(train.mean.shape[-1] for train, _ in pairs)
        pairs = [(_first(train, least), _first(test, least)) for train, test in pairs]
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


def _fit_pair(
    trained: SweepResult, row: int, data: Data, inputs: Inputs, dimension: int, is_given: bool
) -> tuple[Gaussian, Gaussian]:
    """Fit the Gaussians of the training and held-out features of one network."""
    parts = features(trained, row, data, shard=True), features(trained, row, data, inputs)
    if not all(np.isfinite(part).all() for part in parts):
        seed = trained.runs.columns["seed"][row]
        raise ValueError(f"The features of the network of seed {seed} contain nan or inf.")
    components = fit_pca(parts[0], dimension)
    pair = [fit_gaussian(components.project(part)) for part in parts]
    while not is_given and pair[0].mean.shape[-1] > 1 and not all(bool(is_full_rank(one)) for one in pair):
        pair = [_first(one, one.mean.shape[-1] - 1) for one in pair]
    for name, density in zip(("training", "held-out"), pair, strict=True):
        if not bool(is_full_rank(density)):
            d = density.mean.shape[-1]
            raise ValueError(
                f"The covariance of the {name} features on {d} principal components is singular: they span fewer than "
                f"{d} directions. {'Choose a smaller dimension.' if is_given else 'They are constant.'}"
            )
    return pair[0], pair[1]


def _first(density: Gaussian, count: int) -> Gaussian:
    """Return the marginal density of the first components."""
    return Gaussian(density.mean[..., :count], density.covariance[..., :count, :count])
