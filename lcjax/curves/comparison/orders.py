"""Probabilities of the order of several curves, from joint draws of their errors."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from lcjax.curves.comparison.joint_curves import JointCurves
from lcjax.curves.forecast.batching import bucket_length
from lcjax.kernels.compilation import jit_lean
from lcjax.typing import Array

__all__ = ["OrderAnswers", "best_probability", "find_order", "order_probability"]

# Share of pairs whose order is reversed beyond the data although the forecasts exclude it.
_SURPRISE = 0.005


class OrderAnswers(JointCurves):
    """Probabilities of the order of the curves at any size."""

    def probability_of_order(
        self, size: Num[Array, " s"] | Sequence[float], *, measured: bool = False
    ) -> Float[np.ndarray, "c c s"]:
        """Return the probability that the error of each curve (row) is below that of each other one (column).

        Equal errors count a half, so that an entry and its transpose add up to 1. Beyond the data of one of the two
        curves, no probability is below 0.005.

        Args:
            size: numbers of training examples, `(s,)`.
            measured: True for one measurement of each curve, False for the curves themselves.

        Raises:
            ValueError: a size is not finite or lies below `start`.
        """
        probability = order_probability(self.draws(size, measured=measured), self.weight)
        largest = np.asarray(self.forecast.largest, float)
        known = np.minimum(largest[:, None], largest)[..., None]
        floor = np.where(self._check_sizes(size) > known * (1 + 1e-5), _SURPRISE, 0.0)
        return np.asarray((1 - 2 * floor) * probability + floor)

    def probability_best(
        self, size: Num[Array, " s"] | Sequence[float], *, measured: bool = False
    ) -> Float[np.ndarray, "c s"]:
        """Return the probability that each curve has the smallest error of all; they add up to 1 at every size.

        Args:
            size: numbers of training examples, `(s,)`.
            measured: True for one measurement of each curve, False for the curves themselves.

        Raises:
            ValueError: a size is not finite or lies below `start`.
        """
        count = len(self.names)
        weight = np.exp(np.sum(np.log(self.weight), axis=(0, 1)) / count)  # of two curves, the weight of the pair
        probability = best_probability(self.draws(size, measured=measured), weight)
        floor = np.where(self._check_sizes(size) > self.now * (1 + 1e-5), min(_SURPRISE, 1 / count), 0.0)
        return np.asarray((1 - count * floor) * probability + floor)

    def order_now(self) -> Float[np.ndarray, "c c"]:
        """Return the order at the largest common measured size: 1 where a curve (row) is better, -1 where it is worse.

        Equal errors give 0. If two curves have no common measured size, it is the more probable order at `now`.
        """
        likely = np.sign(self.probability_of_order([self.now])[..., 0] - 0.5)
        return find_order(np.asarray(self.curves.error, float), likely)

    def probability_of_reversal(
        self, size: Num[Array, " s"] | Sequence[float], *, measured: bool = False
    ) -> Float[np.ndarray, "c c s"]:
        """Return the probability that the order of two curves differs from the order now.

        Args:
            size: numbers of training examples, `(s,)`.
            measured: True for one measurement of each curve, False for the curves themselves.

        Raises:
            ValueError: a size is not finite or lies below `start`.
        """
        better = self.probability_of_order(size, measured=measured)
        now = self.order_now()[..., None]
        return np.asarray(np.where(now > 0, 1 - better, np.where(now < 0, better, 0.5)))


def find_order(error: Float[np.ndarray, "c s"], likely: Float[np.ndarray, "c c"]) -> Float[np.ndarray, "c c"]:
    """Return the order of the errors at the largest size that two curves share: 1, -1, or 0 for equal errors.

    Args:
        error: errors of c curves at s sizes; nan where absent.
        likely: order of two curves that share no size.

    Examples:
        >>> find_order(np.array([[0.4, 0.3], [0.5, np.nan], [0.2, 0.35]]), np.zeros((3, 3))).tolist()
        [[0.0, 1.0, 1.0], [-1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]
    """
    both = ~np.isnan(error)[:, None] & ~np.isnan(error)[None]
    last = np.max(np.where(both, np.arange(error.shape[1]), -1), axis=-1)
    i, j = np.indices(last.shape)
    return np.asarray(np.where(last >= 0, np.sign(error[j, last] - error[i, last]), likely))


def order_probability(
    errors: Float[Array, "c n s"], weight: Float[Array, "c c n"] | None = None
) -> Float[np.ndarray, "c c s"]:
    """Return the probability that the error of each curve (row) is below that of each other one (column).

    Equal errors count a half. With n draws, no probability is below 1 / (2 n + 2).

    Args:
        errors: errors of c curves in n joint draws at s sizes.
        weight: weight of the draws for each pair of curves, symmetric; equal weights by default.

    Examples:
        >>> errors = np.array([[[0.1], [0.2], [0.3]], [[0.2], [0.2], [0.2]]])
        >>> order_probability(errors)[..., 0].tolist()
        [[0.5, 0.5], [0.5, 0.5]]
    """
    weight = np.ones((len(errors), *errors.shape[:2])) if weight is None else np.asarray(weight)
    weight = (weight / weight.sum(axis=-1, keepdims=True)).astype(np.asarray(errors).dtype)
    count, sizes = errors.shape[1:]
    share = np.asarray(_order(_pad(errors), jnp.asarray(weight)), float)[..., :sizes]
    return np.asarray((share * count + 0.5) / (count + 1))


def best_probability(
    errors: Float[Array, "c n s"], weight: Float[Array, " n"] | None = None
) -> Float[np.ndarray, "c s"]:
    """Return the probability that each curve has the smallest error; curves of equal errors share it.

    Args:
        errors: errors of c curves in n joint draws at s sizes.
        weight: weight of the draws; equal weights by default.

    Examples:
        >>> errors = np.array([[[0.1], [0.2]], [[0.2], [0.2]]])
        >>> best_probability(errors)[:, 0].tolist()
        [0.75, 0.25]
    """
    weight = np.ones(errors.shape[1]) if weight is None else np.asarray(weight)
    weight = (weight / weight.sum()).astype(np.asarray(errors).dtype)
    share = np.asarray(_best(_pad(errors), jnp.asarray(weight)), float)[:, : errors.shape[2]]
    return np.asarray(share / share.sum(axis=0))


def _pad(errors: Float[Array, "c n s"]) -> Float[jax.Array, "c n m"]:
    """Repeat the last size up to one of a few numbers of sizes, so that few programs are compiled."""
    count = errors.shape[2]
    return jnp.asarray(np.pad(errors, ((0, 0), (0, 0), (0, bucket_length(count, least=4) - count)), mode="edge"))


@jit_lean()
def _order(errors: Float[jax.Array, "c n s"], weight: Float[jax.Array, "c c n"]) -> Float[jax.Array, "c c s"]:
    def row(one: tuple[Float[jax.Array, "n s"], Float[jax.Array, "c n"]]) -> Float[jax.Array, "c s"]:
        error, own = one
        below = jnp.where(error < errors, 1.0, jnp.where(error == errors, 0.5, 0.0)).astype(errors.dtype)
        return jnp.einsum("cns,cn->cs", below, own, precision="highest")

    share: jax.Array = jax.lax.map(row, (errors, weight))
    return share


@jit_lean()
def _best(errors: Float[jax.Array, "c n s"], weight: Float[jax.Array, " n"]) -> Float[jax.Array, "c s"]:
    smallest = (errors == jnp.min(errors, axis=0)).astype(errors.dtype)
    return jnp.einsum("cns,n->cs", smallest / jnp.sum(smallest, axis=0), weight, precision="highest")
