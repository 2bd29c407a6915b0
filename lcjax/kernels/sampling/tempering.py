"""Tempered sequential Monte Carlo: samples of a posterior under a standard normal prior, with its evidence.

Tempering means a cap on the likelihood that rises from stage to stage, not a power of the likelihood.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Bool, Float

from lcjax.kernels.sampling.student_mixture import TAILS, fit_student_mixture
from lcjax.records import record
from lcjax.typing import Array, KeyArray

__all__ = ["Tempered", "temper"]

Particles = tuple[Float[jax.Array, "p d"], Float[jax.Array, " p"], Float[jax.Array, " p"]]
State = tuple[Float[jax.Array, "p d"], Float[jax.Array, " p"], Float[jax.Array, ""], Float[jax.Array, ""]]
LogLikelihood = Callable[[Float[jax.Array, "p d"]], Float[jax.Array, " p"]]

# The next cap is chosen so that this share of the particles remains effective.
_EFFECTIVE = 0.6
# Bisections for a cap, and how far below the highest log likelihood the search begins.
_BISECTIONS, _DEPTH = 16, 4e3
# Softness of the cap in units of the log likelihood.
_SOFTNESS = 4.0
# Factor exp(spread * normal + shift) on the optimal scale 2.38 / sqrt(2 d) of a difference of particles, and the jitter
# that makes the chain irreducible (ter Braak, 2006).
_SPREAD, _SHIFT, _JITTER = 0.5, -0.3, 0.01
_INDEPENDENT = 0.5  # share of moves that are drawn from a mixture of Student distributions fitted to the particles


@record
class Tempered:
    """Equally weighted particles of a posterior.

    Attributes:
        particles: parameters, `(p, d)`; 0 in the dimensions that are not in use.
        log_likelihood: log likelihood of each particle, without a cap, `(p,)`.
        log_evidence: logarithm of the mean likelihood under the prior, `()`.
    """

    particles: Float[jax.Array, "p d"]
    log_likelihood: Float[jax.Array, " p"]
    log_evidence: Float[jax.Array, ""]


def temper(
    key: KeyArray,
    log_likelihood: LogLikelihood,
    used: Bool[Array, " d"],
    *,
    chains: int = 32,
    moves: int = 24,
    stages: int = 13,
    dtype: DTypeLike | None = None,
) -> Tempered:
    """Sample the posterior of parameters with a standard normal prior by tempered sequential Monte Carlo.

    Particles pass through a sequence of distributions from the prior to the posterior (Del Moral et al., 2006). In each
    the log likelihood has a soft cap c,

        log likelihood_c = -s log(exp(-log likelihood / s) + exp(-c / s)),    s = 4

    which rises from stage to stage and is removed at the last stage or before. Sharp likelihoods with heavy tails, such
    as Student's, have a sudden transition under tempering by powers of the likelihood. Caps cross it in few stages,
    because the likelihood has its full weight below the cap.

    At each stage `chains` particles are resampled and each is moved `moves` times; all states of these chains are the
    particles of the next stage (waste-free, Dau and Chopin, 2022). On average half of the proposals are steps along
    differences of particles (ter Braak, 2006), and half are draws from a mixture of Student distributions fitted to the
    particles. The evidence is the product of the mean incremental weights.

    Args:
        key: a typed key.
        log_likelihood: function of particles `(p, d)` that returns log likelihoods `(p,)`, finite.
        used: True for the dimensions in use; the others stay 0, so that problems of several dimensions share a program.
        chains: number of chains, static, at least 4.
        moves: moves of each chain at each stage, static, at least 1; there are `chains * moves` particles.
        stages: number of stages after the draws from the prior, static, at least 1. Once the cap has been removed, the
            remaining stages move the particles further.
        dtype: dtype of the particles; JAX's default float if None.

    Returns:
        `Tempered` with `chains * moves` particles.

    Raises:
        ValueError: `chains`, `moves` or `stages` is too small.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> def log_likelihood(z):
        ...     return -0.5 * jnp.sum((z - 2.0) ** 2, axis=1)
        >>> posterior = temper(jax.random.key(0), log_likelihood, jnp.array([True]))
        >>> abs(float(posterior.particles.mean()) - 1.0) < 0.15, abs(float(posterior.log_evidence) + 1.347) < 0.3
        (True, True)
    """
    if chains < 4 or stages < 1 or moves < 1:
        raise ValueError(f"temper needs at least 4 chains, 1 move and 1 stage, got {chains}, {moves} and {stages}.")
    used = jnp.asarray(used)
    dtype = jnp.dtype(dtype or jnp.result_type(float))
    particles, width = chains * moves, used.shape[0]
    scale = 2.38 / jnp.sqrt(2.0 * jnp.sum(used, dtype=dtype))
    steps = stages + 1
    # One call draws all random numbers, because every further call would add to the compilation time.
    each = steps * moves * chains
    sizes = [steps, steps * moves * 2, each * (3 + TAILS), each * (width + 1)]
    uniform = jax.random.uniform(key, (sum(sizes),), dtype, minval=1e-7)
    place, shifts, uniforms, normals = jnp.split(uniform, np.cumsum(sizes)[:-1])
    given = (
        jnp.arange(steps),
        place,
        shifts.reshape(steps, moves, 2),
        uniforms.reshape(steps, moves, 3 + TAILS, chains),
        jax.scipy.special.ndtri(normals).reshape(steps, moves, chains, width + 1),
    )

    def step(carry: State, given: tuple[jax.Array, ...]) -> tuple[State, None]:
        z, log_l, cap, log_evidence = carry
        stage, place, shifts, uniforms, normals = given
        first = stage == 0
        now = jnp.where(stage <= 1, 0.0, _cap(log_l, cap))
        cap = jnp.where(stage == stages, jnp.inf, _next_cap(log_l, now, cap))
        rise = jnp.where(first, 0.0, _cap(log_l, cap) - now)
        cap = jnp.where(first, -jnp.inf, cap)
        log_evidence += jax.nn.logsumexp(rise) - np.log(particles)
        weight = jax.nn.softmax(rise)
        index = jnp.searchsorted(jnp.cumsum(weight), (jnp.arange(chains) + place) / chains, method="compare_all")
        index = jnp.minimum(index, particles - 1)
        mixture = fit_student_mixture(z, weight, used)

        def move(state: Particles, given: tuple[jax.Array, ...]) -> tuple[Particles, tuple[jax.Array, jax.Array]]:
            z, log_l, log_q = state
            shift, (chance, kind, component, *tails), normals = given
            one, two = 1 + jnp.minimum((shift * (chains - 1)).astype(jnp.int32), chains - 2)
            two = jnp.where(one == two, two % (chains - 1) + 1, two)
            length = scale * jnp.exp(_SPREAD * normals[:, :1] + _SHIFT)
            normals = normals[:, 1:]
            near = z + length * (jnp.roll(z, one, axis=0) - jnp.roll(z, two, axis=0)) + _JITTER * normals
            far = mixture.sample(component, tails, normals)
            is_far = kind < _INDEPENDENT
            # The first step draws from the prior.
            proposed = jnp.where(first, normals, jnp.where(is_far[:, None], far, near)) * used
            new, new_q = log_likelihood(proposed), mixture.log_density(proposed)
            log_ratio = _cap(new, cap) - _cap(log_l, cap) - 0.5 * jnp.sum(proposed**2 - z**2, axis=1)
            log_ratio += jnp.where(is_far, log_q - new_q, 0.0)
            accept = first | (jnp.log(chance) < log_ratio)
            z, log_l, log_q = (jnp.where(accept, a.T, b.T).T for a, b in ((proposed, z), (new, log_l), (new_q, log_q)))
            return (z, log_l, log_q), (z, log_l)

        start = z[index], log_l[index], mixture.log_density(z[index])
        _, (z, log_l) = jax.lax.scan(move, start, (shifts, uniforms, normals))
        return (z.reshape(particles, width), log_l.reshape(particles), cap, log_evidence), None

    zeros = jnp.zeros((particles, width), dtype)
    zero = jnp.zeros((), dtype)
    (z, log_l, _, log_evidence), _ = jax.lax.scan(step, (zeros, zeros[:, 0], zero, zero), given)
    return Tempered(z, log_l, log_evidence)


def _cap(log_likelihood: Float[jax.Array, " p"], cap: Float[jax.Array, ""]) -> Float[jax.Array, " p"]:
    """Return the log likelihood under a soft cap; unchanged if the cap is infinite."""
    return -_SOFTNESS * jnp.logaddexp(-log_likelihood / _SOFTNESS, -cap / _SOFTNESS)


def _next_cap(
    log_likelihood: Float[jax.Array, " p"], now: Float[jax.Array, " p"], cap: Float[jax.Array, ""]
) -> Float[jax.Array, ""]:
    """Return the highest cap under which enough particles remain effective; inf if they also do without a cap.

    `now` is the log likelihood under the present cap.
    """
    enough = _EFFECTIVE * log_likelihood.shape[0]

    def is_good(cap: jax.Array) -> jax.Array:
        return 1.0 / jnp.sum(jax.nn.softmax(_cap(log_likelihood, cap) - now) ** 2) > enough

    def halve(_: jax.Array, bracket: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bracket
        middle = 0.5 * (low + high)
        good = is_good(middle)
        return jnp.where(good, middle, low), jnp.where(good, high, middle)

    high = jnp.max(log_likelihood) + 3 * _SOFTNESS
    low = jnp.minimum(jnp.maximum(cap, high - _DEPTH), high)
    low, _ = jax.lax.fori_loop(0, _BISECTIONS, halve, (low, high))
    return jnp.where(is_good(jnp.full_like(low, jnp.inf)), jnp.inf, low)
