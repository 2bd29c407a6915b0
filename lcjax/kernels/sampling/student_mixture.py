"""Mixtures of Student distributions fitted to weighted particles, as proposals for independence sampling."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from lcjax.records import record

__all__ = ["TAILS", "StudentMixture", "factor_covariance", "fit_student_mixture"]

TAILS = 2
"""Number of uniform variates for the scale of one draw; a component has twice as many degrees of freedom."""

_DEGREES = 2 * TAILS
# Quartiles of a normal distribution, at which particles are split along their principal axis.
_QUARTILES = (-0.6745, 0.0, 0.6745)
# Factor on the scale of each component's particles, and variance added to every dimension in use.
_WIDER, _LEAST = 1.1, 1e-5
_ITERATIONS = 12  # of the power method; the split needs no exact axis


@record
class StudentMixture:
    """A mixture of Student distributions with 4 degrees of freedom.

    Attributes:
        weight: weights of the components, `(c,)`; they sum to 1.
        center: means, `(c, d)`.
        factor: lower Cholesky factors of the scale matrices, `(c, d, d)`.
        inverse: inverses of these factors, `(c, d, d)`.
        used: True for the dimensions in use, `(d,)`.
    """

    weight: Float[jax.Array, " c"]
    center: Float[jax.Array, "c d"]
    factor: Float[jax.Array, "c d d"]
    inverse: Float[jax.Array, "c d d"]
    used: Bool[jax.Array, " d"]

    def sample(
        self,
        component: Float[jax.Array, " p"],
        tails: Sequence[Float[jax.Array, " p"]],
        normals: Float[jax.Array, "p d"],
    ) -> Float[jax.Array, "p d"]:
        """Draw p vectors from the mixture.

        Args:
            component: uniform variates in [0, 1), which select the components.
            tails: `TAILS` arrays of uniform variates in (0, 1), which determine the tails.
            normals: standard normal variates.

        Returns:
            The draws, `(p, d)`; the dimensions that are not in use are not zeroed.
        """
        share = jnp.cumsum(self.weight)
        index = jnp.sum(component[:, None] * share[-1] > share[:-1], axis=1)
        # -2 log of a product of uniform variates has a chi-squared distribution.
        length = jnp.sqrt(-2.0 / _DEGREES * sum(jnp.log(u) for u in tails))
        step = _apply(self.factor, normals) / length[:, None, None]
        chosen = index[:, None] == jnp.arange(self.weight.shape[0])
        return jnp.sum(jnp.where(chosen[..., None], self.center + step, 0.0), axis=1)

    def log_density(self, z: Float[jax.Array, "p d"]) -> Float[jax.Array, " p"]:
        """Return the log density over the dimensions in use, `(p,)`, up to a constant."""
        middle = self.weight @ self.center
        white = _apply(self.inverse, jnp.where(self.used, z - middle, 0.0)) - jnp.einsum(
            "cde,ce->cd", self.inverse, self.center - middle
        )
        dimension = jnp.sum(self.used, dtype=z.dtype)
        volume = jnp.sum(jnp.log(jnp.diagonal(self.inverse, axis1=1, axis2=2)), axis=1)
        each = jnp.log(self.weight) + volume
        each = each - 0.5 * (_DEGREES + dimension) * jnp.log1p(jnp.sum(white**2, axis=2) / _DEGREES)
        return jax.nn.logsumexp(each, axis=1)


def _apply(matrices: Float[jax.Array, "c d d"], z: Float[jax.Array, "p d"]) -> Float[jax.Array, "p c d"]:
    """Multiply every vector by every matrix, in one matrix product."""
    count, width, _ = matrices.shape
    product = jnp.matmul(z, matrices.reshape(count * width, width).T, precision="highest")
    return product.reshape(-1, count, width)


def fit_student_mixture(
    z: Float[jax.Array, "p d"], weight: Float[jax.Array, " p"], used: Bool[jax.Array, " d"]
) -> StudentMixture:
    """Fit a mixture of four components, one to each part of the particles along their principal axis.

    The parts are separated by the quartiles of a normal distribution with the variance of the particles along that
    axis. Four components cover curved and bimodal clouds far better than one.

    Args:
        z: p particles.
        weight: their weights, which sum to 1.
        used: True for the dimensions in use; particles are 0 in the others.
    """
    dtype, width = z.dtype, z.shape[1]
    spread = z - weight @ z
    covariance = jnp.matmul(spread.T * weight, spread, precision="highest")

    def iterate(_: jax.Array, axis: Float[jax.Array, " d"]) -> Float[jax.Array, " d"]:
        axis = covariance @ axis
        return axis / jnp.maximum(jnp.linalg.norm(axis), 1e-20)

    axis = jax.lax.fori_loop(0, _ITERATIONS, iterate, jnp.ones((width,), dtype))
    place = spread @ axis
    limits = jnp.asarray(_QUARTILES, dtype) * jnp.sqrt(weight @ place**2)
    quarter = jnp.sum(place[:, None] > limits, axis=1)
    member = (quarter[:, None] == jnp.arange(len(_QUARTILES) + 1)) * weight[:, None]
    total = jnp.sum(member, axis=0) + 1e-6
    center = (member.T @ spread) / total[:, None]
    apart = spread - center[:, None, :]
    scatter = jnp.einsum("pc,cpd,cpe->cde", member, apart, apart, precision="highest") / total[:, None, None]
    ridge = jnp.diag(jnp.where(used, _LEAST, 1.0)).astype(dtype)
    factor, inverse = factor_covariance(_WIDER**2 * scatter + ridge)
    return StudentMixture(total / jnp.sum(total), weight @ z + center, factor, inverse, used)


def factor_covariance(
    covariance: Float[jax.Array, "*b n n"],
) -> tuple[Float[jax.Array, "*b n n"], Float[jax.Array, "*b n n"]]:
    """Return the lower Cholesky factors of small positive definite matrices, and the inverses of the factors.

    This avoids LAPACK, whose calls block each other when several threads run programs on a CPU.

    Args:
        covariance: positive definite matrices, `(*b, n, n)`; the results contain nan for a matrix that is not.

    Examples:
        >>> import jax.numpy as jnp
        >>> factor, inverse = factor_covariance(jnp.array([[4.0, 2.0], [2.0, 5.0]]))
        >>> factor.tolist(), inverse.tolist()
        ([[2.0, 0.0], [1.0, 2.0]], [[0.5, 0.0], [-0.25, 0.5]])
    """
    count = covariance.shape[-1]
    places = jnp.arange(count)
    identity = jnp.broadcast_to(jnp.eye(count, dtype=covariance.dtype), covariance.shape)

    def eliminate(i: jax.Array, rows: Float[jax.Array, "*b n m"]) -> Float[jax.Array, "*b n m"]:
        row = jax.lax.dynamic_index_in_dim(rows, i, axis=-2, keepdims=False)
        scaled = row * jax.lax.rsqrt(jax.lax.dynamic_index_in_dim(row, i, axis=-1))
        below = jnp.where(places > i, scaled[..., :count], 0.0)
        rows = rows - below[..., :, None] * scaled[..., None, :]
        return jnp.where((places == i)[:, None], scaled[..., None, :], rows)

    rows = jax.lax.fori_loop(0, count, eliminate, jnp.concatenate([covariance, identity], axis=-1))
    upper = jnp.where(places[:, None] <= places, rows[..., :count], 0.0)
    return jnp.swapaxes(upper, -1, -2), rows[..., count:]
