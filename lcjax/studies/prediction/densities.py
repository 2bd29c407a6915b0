"""Gaussian densities of a network's features on their principal components."""

from collections.abc import Sequence

import jax
import numpy as np

from lcjax.data.examples import Data
from lcjax.theory.gaussian import Gaussian, fit_gaussian, is_full_rank
from lcjax.theory.pca import fit_pca
from lcjax.training import SweepResult, features
from lcjax.training.evaluation import Inputs

__all__ = ["fit_densities"]


def fit_densities(
    trained: SweepResult, rows: Sequence[int], data: Data, inputs: Inputs, dimension: int
) -> tuple[Gaussian, Gaussian]:
    """Fit Gaussians to the features of networks, on the first d principal components of their training features.

    The networks are those of `rows`, one run per seed; `inputs` are the held-out ones, `(m, ...)`.

    Returns:
        Densities of training and of held-out features, with means `(r, d)` and covariances `(r, d, d)`.

    Raises:
        ValueError: features are not finite, or span fewer than d directions.
    """
    pairs = []
    for row in rows:
        parts = features(trained, row, data, shard=True), features(trained, row, data, inputs)
        if not all(np.isfinite(part).all() for part in parts):
            seed = trained.runs.columns["seed"][row]
            raise ValueError(f"The features of the network of seed {seed} contain nan or inf.")
        components = fit_pca(parts[0], dimension)
        pair = tuple(fit_gaussian(components.project(part)) for part in parts)
        for name, density in zip(("training", "held-out"), pair, strict=True):
            if not bool(is_full_rank(density)):
                raise ValueError(
                    f"The covariance of the {name} features on {dimension} principal components is singular: they span "
                    f"fewer than {dimension} directions. Choose a smaller dimension."
                )
        pairs.append(pair)
    train, test = (jax.tree.map(lambda *leaves: np.stack(leaves), *side) for side in zip(*pairs, strict=True))
    return train, test
