"""Tempered sequential Monte Carlo: a posterior under a standard normal prior, with its evidence."""

from collections.abc import Callable
from typing import Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Bool, Float

from lcjax.records import record
from lcjax.typing import Array, KeyArray

__all__ = ["Tempered", "temper"]

A = TypeVar("A")
Moved = tuple[Float[jax.Array, "p d"], Float[jax.Array, " p"], A]
State = tuple[Float[jax.Array, "p d"], Float[jax.Array, " p"], A, Float[jax.Array, ""], Float[jax.Array, ""]]
LogLikelihood = Callable[[Float[jax.Array, "p d"]], tuple[Float[jax.Array, " p"], A]]

# The next temperature keeps this share of effective particles. The last temperatures rise at least along a schedule, so
# that the likelihood has its full weight after a fixed number of them.
_EFFECTIVE, _SCHEDULED, _POWER = 0.4, 6, 1.5
_BISECTIONS = 18
# Factor exp(spread * normal + shift) on the optimal scale 2.38 / sqrt(2 d) of a difference, and the jitter that makes
# the chain irreducible (ter Braak, 2006).
_SPREAD, _SHIFT, _JITTER = 0.5, -0.3, 0.01


@record
class Tempered(Generic[A]):
    """Equally weighted particles of a posterior.

    Attributes:
        particles: `(p, d)`; 0 in the dimensions that are not in use.
        log_likelihood: `(p,)`.
        auxiliary: what the likelihood returned beside its value, for each particle.
        log_evidence: logarithm of the mean likelihood under the prior, `()`.
    """

    particles: Float[jax.Array, "p d"]
    log_likelihood: Float[jax.Array, " p"]
    auxiliary: A
    log_evidence: Float[jax.Array, ""]


def temper(
    key: KeyArray,
    log_likelihood: LogLikelihood[A],
    used: Bool[Array, " d"],
    *,
    chains: int = 64,
    moves: int = 18,
    temperatures: int = 16,
    dtype: DTypeLike | None = None,
) -> Tempered[A]:
    """Sample the posterior of parameters with a standard normal prior by tempered sequential Monte Carlo.

    The likelihood is raised to powers that grow from 0 to 1 (Del Moral et al., 2006). At each power a few particles are
    resampled and moved many times by differential evolution (ter Braak, 2006); all states of these chains are the
    particles of the next power (waste-free, Dau and Chopin, 2022). The evidence is the product of the mean incremental
    weights.

    Args:
        key: a typed key.
        log_likelihood: function of particles `(p, d)` that returns log likelihoods `(p,)`, finite, and a pytree with
            anything else to keep for each particle, of leading axis `p`.
        used: True for the dimensions in use; the others stay 0, so that problems of several dimensions share a program.
        chains: number of chains, static.
        moves: moves of each chain at each power, static; there are `chains * moves` particles.
        temperatures: number of powers, static, at least 7.
        dtype: dtype of the particles; JAX's default float if None.

    Raises:
        ValueError: there are too few chains, moves or temperatures.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> def log_likelihood(z):
        ...     return -0.5 * jnp.sum((z - 2.0) ** 2, axis=1), ()
        >>> posterior = temper(jax.random.key(0), log_likelihood, jnp.array([True]))
        >>> abs(float(posterior.particles.mean()) - 1.0) < 0.15, abs(float(posterior.log_evidence) + 1.347) < 0.3
        (True, True)
    """
    if chains < 4 or temperatures <= _SCHEDULED or moves < 1:
        raise ValueError(
            f"temper needs at least 4 chains, a move and {_SCHEDULED + 1} temperatures, got {chains}, {moves} and "
            f"{temperatures}."
        )
    used = jnp.asarray(used)
    dtype = jnp.dtype(dtype or jnp.result_type(float))
    particles, width = chains * moves, used.shape[0]
    scale = 2.38 / jnp.sqrt(2.0 * jnp.sum(used, dtype=dtype))
    steps = temperatures + 1
    # One call draws all random numbers: each further call would be compiled on its own.
    each = steps * moves * chains
    sizes = [steps, steps * moves * 2, each, each * (width + 1)]
    uniform = jax.random.uniform(key, (sum(sizes),), dtype, minval=1e-7)
    place, shifts, chances, noise = jnp.split(uniform, np.cumsum(sizes)[:-1])
    noise = jax.scipy.special.ndtri(noise).reshape(steps, moves, chains, width + 1)

    def step(carry: State[A], given: tuple[jax.Array, ...]) -> tuple[State[A], None]:
        z, log_l, auxiliary, power, log_evidence = carry
        least, first, place, shifts, chances, noise = given
        rise = jnp.where(first, 0.0, jnp.maximum(_next_rise(log_l, power), least - power))
        log_evidence += jax.nn.logsumexp(rise * log_l) - np.log(particles)
        power = power + rise
        share = jnp.cumsum(jax.nn.softmax(rise * log_l))
        index = jnp.searchsorted(share, (jnp.arange(chains) + place) / chains, method="compare_all")
        index = jnp.minimum(index, particles - 1)

        def move(state: Moved[A], given: tuple[jax.Array, ...]) -> tuple[Moved[A], Moved[A]]:
            z, log_l, auxiliary = state
            shift, chance, noise = given
            one, two = 1 + jnp.minimum((shift * (chains - 1)).astype(jnp.int32), chains - 2)
            two = jnp.where(one == two, two % (chains - 1) + 1, two)
            factor = scale * jnp.exp(_SPREAD * noise[:, :1] + _SHIFT)
            change = factor * (jnp.roll(z, one, axis=0) - jnp.roll(z, two, axis=0)) + _JITTER * noise[:, 1:]
            # The first step evaluates draws from the prior.
            proposed = jnp.where(first, noise[:, 1:], z + change) * used
            new, kept = log_likelihood(proposed)
            log_ratio = power * (new - log_l) - 0.5 * jnp.sum(proposed**2 - z**2, axis=1)
            accept = first | (jnp.log(chance) < log_ratio)

            def choose(a: jax.Array, b: jax.Array) -> jax.Array:
                return jnp.where(accept.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

            state = jax.tree.map(choose, (proposed, new, kept), (z, log_l, auxiliary))
            return state, state

        ancestors = jax.tree.map(lambda a: a[index], (z, log_l, auxiliary))
        _, states = jax.lax.scan(move, ancestors, (shifts, chances, noise))
        z, log_l, auxiliary = jax.tree.map(lambda a: a.reshape(particles, *a.shape[2:]), states)
        return (z, log_l, auxiliary, power, log_evidence), None

    start = jnp.zeros((particles, width), dtype)
    log_l, auxiliary = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(log_likelihood, start))
    ladder = np.r_[np.zeros(steps - _SCHEDULED), np.linspace(0.15, 1.0, _SCHEDULED) ** _POWER]
    given = (
        jnp.asarray(ladder, dtype),
        jnp.arange(steps) == 0,
        place,
        shifts.reshape(steps, moves, 2),
        chances.reshape(steps, moves, chains),
        noise,
    )
    zero = jnp.zeros((), dtype)
    (z, log_l, auxiliary, _, log_evidence), _ = jax.lax.scan(step, (start, log_l, auxiliary, zero, zero), given)
    return Tempered(z, log_l, auxiliary, log_evidence)


def _next_rise(log_likelihood: Float[jax.Array, " p"], power: Float[jax.Array, ""]) -> Float[jax.Array, ""]:
    """Return the largest rise of the power, up to 1, at which enough particles remain effective."""
    enough = _EFFECTIVE * log_likelihood.shape[0]

    def is_good(rise: jax.Array) -> jax.Array:
        return 1.0 / jnp.sum(jax.nn.softmax(rise * log_likelihood) ** 2) > enough

    def halve(_: jax.Array, bracket: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bracket
        middle = 0.5 * (low + high)
        good = is_good(middle)
        return jnp.where(good, middle, low), jnp.where(good, high, middle)

    rest = 1.0 - power
    low, _ = jax.lax.fori_loop(0, _BISECTIONS, halve, (jnp.zeros_like(rest), rest))
    return jnp.where(is_good(rest), rest, low)
