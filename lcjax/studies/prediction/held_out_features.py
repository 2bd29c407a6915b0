"""Features of examples that the network was not trained on, compared with those of its training examples."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from lcjax.data.examples import Data
from lcjax.data.streamed import take_rows
from lcjax.records import record
from lcjax.studies.prediction.methods.distances import Distances, find_distances
from lcjax.studies.prediction.methods.points import Fit
from lcjax.theory.gaussian import Gaussian, fit_gaussian
from lcjax.theory.pca import fit_pca
from lcjax.training import SweepResult, features
from lcjax.training.evaluation import Inputs
from lcjax.typing import Array

__all__ = [
    "FeatureSets",
    "HeldOutFeatures",
    "compare_fits",
    "extract_features",
    "held_out_densities",
    "neighbor_distances",
]


@record
class HeldOutFeatures:
    """Comparison of a method fitted with reference points new to the network and with the network's training examples.

    Features of the examples that the network was trained on are not exchangeable with features of new examples. The
    held-out reference points are the training examples outside the network's shard, and the queries are validation
    examples, so that both are new to the network.

    Attributes:
        radius: fitted radius of each seed with the shard as reference points, `(r,)`.
        held_out_radius: the same with held-out reference points, `(r,)`.
        size: numbers of training examples, `(t,)`.
        log_difference: `log(error with held-out reference points / error)`, `(t,)`.
    """

    radius: Float[Array, " r"]
    held_out_radius: Float[Array, " r"]
    size: Float[Array, " t"]
    log_difference: Float[Array, " t"]


class FeatureSets(NamedTuple):
    """Features of one network for its own shard, for the other training examples, and for held-out inputs."""

    shard: Float[np.ndarray, "n d"]
    outside: Float[np.ndarray, "o d"]
    held_out: Float[np.ndarray, "m d"]


def extract_features(trained: SweepResult, rows: Sequence[int], data: Data, inputs: Inputs) -> list[FeatureSets]:
    """Compute the features of the networks in `rows`, one per seed.

    Args:
        trained: a sweep with the variables of the networks.
        rows: runs to use.
        data: the task.
        inputs: held-out inputs.
    """
    sets = []
    for row in rows:
        others = np.setdiff1d(np.arange(len(data.train.targets)), trained.shard(row))
        outside = jax.tree.map(lambda leaf, others=others: take_rows(leaf, others), data.train.inputs)
        parts = features(trained, row, data, shard=True), features(trained, row, data, outside)
        sets.append(FeatureSets(*parts, features(trained, row, data, inputs)))
    return sets


def neighbor_distances(
    sets: Sequence[FeatureSets], smallest: float, rng: np.random.Generator, *, outside: bool = False
) -> list[Distances]:
    """Compute the distances of each seed's held-out features to their neighbors in the shard, or outside it."""
    return [find_distances(s.held_out, s.outside if outside else s.shard, smallest, rng) for s in sets]


def held_out_densities(sets: Sequence[FeatureSets], dimension: int) -> tuple[Gaussian, Gaussian]:
    """Fit Gaussians to features new to the networks, on the principal components of the examples outside the shards."""
    pairs = []
    for one in sets:
        components = fit_pca(one.outside, dimension)
        pairs.append(tuple(fit_gaussian(components.project(part)) for part in (one.outside, one.held_out)))
    train, test = (jax.tree.map(lambda *leaves: np.stack(leaves), *side) for side in zip(*pairs, strict=True))
    return train, test


def compare_fits(usual: Fit, held_out: Fit, grid: Float[np.ndarray, " t"]) -> HeldOutFeatures:
    """Compare the fits of a method with the shard and with held-out reference points."""
    radii = usual.parameters["radius"], held_out.parameters["radius"]
    return HeldOutFeatures(*radii, grid, (held_out.center - usual.center)[: len(grid)])
