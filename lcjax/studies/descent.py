"""Descent on the pixels of a few images, towards the minimum-norm solution (Zhang et al., 2017, section 5)."""

import numpy as np

from lcjax.complexity.minimum_norm import Descent, gradient_descent
from lcjax.data.examples import Data
from lcjax.records import record
from lcjax.studies.interpolation import prepare_images
from lcjax.typing import KeyArray, check_key

__all__ = ["Solutions", "descend_on_pixels"]


@record
class Solutions:
    """Distance to the minimum-norm solution of an under-determined system, by steps of descent.

    Attributes:
        unknowns: unknowns of the system, the pixels.
        equations: equations of the system, the images.
        full: gradient descent.
        stochastic: stochastic gradient descent.
        batch: batch size of the latter.
    """

    unknowns: int
    equations: int
    full: Descent
    stochastic: Descent
    batch: int


def descend_on_pixels(
    key: KeyArray, data: Data, *, equations: int = 100, steps: int = 20_000, batch: int = 10
) -> Solutions:
    """Descend from zero on `X w = y`, with X the pixels of a few images and y = 1 for one class, -1 for the others.

    The system is under-determined, because there are fewer images than pixels, and its minimum-norm solution is the
    only one in the span of the images (Zhang et al., 2017, section 5).

    Args:
        key: typed key of the images and of the minibatches.
        data: images with classes.
        equations: number of images, limited to a quarter of the pixels.
        steps: steps of descent.
        batch: batch size of stochastic gradient descent.

    Examples:
        >>> import jax, lcjax as lc
        >>> solutions = descend_on_pixels(jax.random.key(0), lc.load_data("digits"), steps=3000)
        >>> print(solutions.equations, solutions.full.distance[-1] < solutions.full.distance[0])
        16 True
    """
    check_key(key)
    unknowns = int(np.prod(np.shape(data.train.inputs)[1:]))
    equations = min(equations, unknowns // 4, len(data.train.targets))
    images, labels, _, _ = prepare_images(key, data, equations)
    system, targets = images.reshape(equations, -1), np.where(labels == 0, 1, -1).astype(np.float32)
    batch = min(batch, equations)
    full, stochastic = (gradient_descent(key, system, targets, steps=steps, batch=b) for b in (None, batch))
    return Solutions(unknowns, equations, full, stochastic, batch)
