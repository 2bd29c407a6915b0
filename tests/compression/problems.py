"""A small network for the tests of compression."""

import jax
import numpy as np

SHAPES = {"head": {"kernel": (4, 3), "bias": (3,)}, "hidden_0": {"kernel": (5, 4), "bias": (4,)}}


def network(seed, dtype="float32", zeros=0.2):
    """Return parameters of a small network, some of which are zero or tied."""
    rng = np.random.default_rng(seed)

    def leaf(shape):
        values = np.round(rng.normal(size=shape), 1)
        return (values * (rng.random(shape) > zeros)).astype(dtype)

    return jax.tree.map(leaf, SHAPES, is_leaf=lambda shape: isinstance(shape, tuple))


def magnitudes(params):
    return {name: np.concatenate([np.abs(leaf).ravel() for leaf in layer.values()]) for name, layer in params.items()}
