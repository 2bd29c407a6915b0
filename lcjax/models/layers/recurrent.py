"""Recurrent layers: LSTM, GRU, recurrent highway net, bidirectional; what is the same at all times is outside loops."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from lcjax.models.sowing import observed, sow_preactivation

__all__ = ["GRU", "LSTM", "RHN", "Bidirectional", "Recurrent", "scaled_units", "uniform"]

Array = jax.Array | np.ndarray
State = tuple[jax.Array, ...]
Weights = dict[str, Any]


def scaled_units(units: int, width: float | int, multiple: int = 1) -> int:
    """Units of a layer under a width factor: `units * width`, rounded up, at least one.

    Args:
        units: of the layer at width 1.
        width: factor, positive.
        multiple: the result is rounded up to a multiple of this.

    Raises:
        ValueError: units or width are not positive.

    Examples:
        >>> scaled_units(512, 0.0625), scaled_units(100, 0.011), scaled_units(3, 0.1)
        (32, 2, 1)
    """
    if not (units >= 1 and width > 0):
        raise ValueError(f"A layer needs at least one unit and a positive width factor, got {units} and {width}.")
    return multiple * max(1, math.ceil(units * width / multiple - 1e-9))  # 830 * 0.1 is 83, not 84


def uniform(limit: float) -> Callable[..., jax.Array]:
    """An initializer: uniform between minus and plus the limit.

    Examples:
        >>> import jax
        >>> weights = uniform(0.1)(jax.random.key(0), (100, 100))
        >>> round(float(abs(weights).max()), 3)
        0.1
    """

    def initial(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return initial

    return initial


def _shifted_part(part: int, units: int, value: float) -> Callable[..., jax.Array]:
    """Zeros, but for the `part`-th block of `units` biases."""

    def initial(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        return jnp.zeros(shape, dtype).at[..., part * units : (part + 1) * units].set(value)

    return initial


class Recurrent(nn.Module):
    """A recurrent layer; a subclass gives its weights, its zero state and what one step does.

    Attributes:
        units: of the state and of the outputs.
    """

    units: int

    @property
    def states(self) -> int:
        """Arrays `(b, units)` of a state; the first is the output."""
        return 1

    def weights(self, features: int) -> Weights:
        """Parameters for inputs of so many features: "kernel", "bias" and those of a step."""
        raise NotImplementedError

    def step(
        self, weights: Weights, state: State, projected: Float[Array, "b k"], noise: Array | None = None
    ) -> tuple[State, jax.Array]:
        """The next state from `inputs @ kernel + bias`, and what goes into the gates, `(b, m)`."""
        raise NotImplementedError

    def zero(self, b: int, dtype: Any) -> State:
        """The state before anything was seen."""
        return (jnp.zeros((b, self.units), dtype),) * self.states

    def __call__(
        self,
        inputs: Float[Array, "b t d"],
        *,
        mask: Bool[Array, "b t"] | None = None,
        state: State | None = None,
        noise: Float[Array, "b units"] | None = None,
    ) -> tuple[Float[jax.Array, "b t units"], State]:
        """Outputs of all steps and the last state.

        Args:
            inputs: sequences.
            mask: steps that are there; at others the state stays and the output is zero.
            state: to begin with; zero by default.
            noise: what multiplies the state wherever it enters a product, one for all steps (variational dropout).
        """
        weights = self.weights(inputs.shape[-1])
        start = self.zero(inputs.shape[0], jnp.result_type(inputs, weights["kernel"])) if state is None else state
        outputs, last, gates = _over_time(self, weights, inputs, mask, start, noise, observed(self))
        _sow_gates(self, gates, mask)
        return outputs, last


def _over_time(
    layer: Recurrent,
    weights: Weights,
    inputs: Array,
    mask: Array | None,
    state: State,
    noise: Array | None,
    looked_at: bool,
) -> tuple[jax.Array, State, jax.Array | None]:
    projected = jnp.swapaxes(inputs, 0, 1) @ weights["kernel"] + weights["bias"]  # of all steps at once
    times = None if mask is None else jnp.swapaxes(mask, 0, 1)[..., None]

    def body(state: State, now: tuple[jax.Array, jax.Array | None]) -> tuple[State, Any]:
        new, gates = layer.step(weights, state, now[0], noise)
        if now[1] is not None:
            new = tuple(jnp.where(now[1], after, before) for after, before in zip(new, state, strict=True))
        return new, (new[0], gates if looked_at else None)

    state, (outputs, gates) = jax.lax.scan(body, state, (projected, times))
    if times is not None:
        outputs = jnp.where(times, outputs, 0)
    return jnp.swapaxes(outputs, 0, 1), state, gates


def _sow_gates(module: nn.Module, gates: Float[jax.Array, "*directions t b k"] | None, mask: Array | None) -> None:
    if gates is None:
        return
    batch_first = jnp.moveaxis(gates, -2, 0)
    if mask is not None:
        shown = jnp.moveaxis(mask if gates.ndim == 3 else jnp.stack([mask, mask[:, ::-1]]), -2, 0)
        batch_first = jnp.where(shown[..., None], batch_first, 0)
    sow_preactivation(module, batch_first)


class LSTM(Recurrent):
    """Long short-term memory; gates in the order input, forget, candidate, output.

        c' = sigmoid(f) c + sigmoid(i) tanh(g),  h' = sigmoid(o) tanh(c')

    The state is (h, c). Our choices: weights uniform in +-1/sqrt(units), biases zero, that of the forget gate 1.

    Attributes:
        units: of the state and of the outputs.
        second_bias: a bias with the recurrent product, too, as in cuDNN and PyTorch; it adds nothing but parameters,
            which the counts of a paper may hold.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> (outputs, (h, c)), variables = LSTM(3).init_with_output(jax.random.key(0), jnp.ones((2, 5, 4)))
        >>> outputs.shape, c.shape, sum(leaf.size for leaf in jax.tree.leaves(variables))
        ((2, 5, 3), (2, 3), 96)
    """

    second_bias: bool = False

    @property
    def states(self) -> int:  # noqa: D102
        return 2

    @nn.compact
    def weights(self, features: int) -> Weights:  # noqa: D102
        initial, k = uniform(1 / math.sqrt(self.units)), 4 * self.units
        bias = self.param("bias", _shifted_part(1, self.units, 1.0), (k,))
        if self.second_bias:
            bias = bias + self.param("recurrent_bias", nn.initializers.zeros, (k,))
        return {
            "kernel": self.param("kernel", initial, (features, k)),
            "bias": bias,
            "recurrent": self.param("recurrent_kernel", initial, (self.units, k)),
        }

    def step(  # noqa: D102
        self, weights: Weights, state: State, projected: Float[Array, "b k"], noise: Array | None = None
    ) -> tuple[State, jax.Array]:
        h, c = state
        gates = jnp.asarray(projected) + _times(h, noise) @ weights["recurrent"]
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        return (nn.sigmoid(o) * jnp.tanh(c), c), gates


class GRU(Recurrent):
    """Gated recurrent unit with the reset gate after the recurrent product, as in cuDNN, PyTorch and Flax.

        r, z = sigmoid(.),  n = tanh(x W_n + b + r (h U_n + b_n)),  h' = n + z (h - n)

    Weights uniform in +-1/sqrt(units), biases zero: our choice.

    Attributes:
        units: of the state and of the outputs.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> (outputs, (h,)), variables = GRU(3).init_with_output(jax.random.key(0), jnp.ones((2, 5, 4)))
        >>> outputs.shape, sum(leaf.size for leaf in jax.tree.leaves(variables))
        ((2, 5, 3), 75)
    """

    @nn.compact
    def weights(self, features: int) -> Weights:  # noqa: D102
        initial, k = uniform(1 / math.sqrt(self.units)), 3 * self.units
        return {
            "kernel": self.param("kernel", initial, (features, k)),
            "bias": self.param("bias", nn.initializers.zeros, (k,)),
            "recurrent": self.param("recurrent_kernel", initial, (self.units, k)),
            "candidate_bias": self.param("candidate_bias", nn.initializers.zeros, (self.units,)),
        }

    def step(  # noqa: D102
        self, weights: Weights, state: State, projected: Float[Array, "b k"], noise: Array | None = None
    ) -> tuple[State, jax.Array]:
        (h,) = state
        r, z, n = jnp.split(projected, 3, axis=-1)
        of_r, of_z, of_n = jnp.split(_times(h, noise) @ weights["recurrent"], 3, axis=-1)
        r, z = r + of_r, z + of_z
        n = n + nn.sigmoid(r) * (of_n + weights["candidate_bias"])
        candidate = jnp.tanh(n)
        return (candidate + nn.sigmoid(z) * (h - candidate),), jnp.concatenate([r, z, n], axis=-1)


class RHN(Recurrent):
    """Recurrent highway layer (Zilly et al., 2017): `depth` gated micro-layers a step, the carry gate 1 - t.

        h = tanh(s R_h + b_h [+ x W_h]),  t = sigmoid(s R_t + b_t [+ x W_t]),  s' = s + t (h - s)

    The input enters the first micro-layer only. Weights uniform in +-1/sqrt(units): our choice.

    Attributes:
        units: of the state and of the outputs.
        depth: micro-layers of a step.
        transform_bias: initial b_t; the authors take -2 for Penn Treebank, -4 for enwik8.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> variables = jax.eval_shape(RHN(830, 10).init, jax.random.key(0), jnp.zeros((1, 1, 830)))
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables))
        15172400
    """

    depth: int = 5
    transform_bias: float = -2.0

    @nn.compact
    def weights(self, features: int) -> Weights:  # noqa: D102
        if self.depth < 1:
            raise ValueError(f"A recurrent highway layer needs a depth of at least 1, got {self.depth}.")
        initial, k = uniform(1 / math.sqrt(self.units)), 2 * self.units
        biases = self.param("bias", _shifted_part(1, self.units, self.transform_bias), (self.depth, k))
        return {
            "kernel": self.param("kernel", initial, (features, k)),
            "bias": biases[0],
            "later_biases": biases[1:],
            "recurrent": self.param("recurrent_kernel", initial, (self.depth, self.units, k)),
        }

    def step(  # noqa: D102
        self, weights: Weights, state: State, projected: Float[Array, "b k"], noise: Array | None = None
    ) -> tuple[State, jax.Array]:
        (s,), seen = state, []
        for i in range(self.depth):
            gates = (weights["later_biases"][i - 1] if i else projected) + _times(s, noise) @ weights["recurrent"][i]
            h, t = jnp.split(gates, 2, axis=-1)
            s = s + nn.sigmoid(t) * (jnp.tanh(h) - s)
            seen.append(gates)
        return (s,), jnp.concatenate(seen, axis=-1)


def _times(state: jax.Array, noise: Array | None) -> jax.Array:
    return state if noise is None else state * jnp.asarray(noise)


class Bidirectional(nn.Module):
    """A recurrent layer in both directions, run as one loop.

    Attributes:
        cell: an LSTM, GRU or RHN, or what makes one from its units.
        units: of each direction.
        summed: add the outputs of the directions (`units` features) instead of putting them side by side.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> layer = Bidirectional(LSTM, 3)
        >>> (outputs, state), variables = layer.init_with_output(jax.random.key(0), jnp.ones((2, 5, 4)))
        >>> outputs.shape, state[0].shape, sorted(variables["params"])
        ((2, 5, 6), (2, 6), ['backward', 'forward'])
    """

    cell: Callable[[int], Recurrent]
    units: int
    summed: bool = False

    def setup(self) -> None:  # noqa: D102
        self.forward, self.backward = self.cell(self.units), self.cell(self.units)

    def __call__(
        self, inputs: Float[Array, "b t d"], *, mask: Bool[Array, "b t"] | None = None
    ) -> tuple[Float[jax.Array, "b t k"], State]:
        """Outputs, and the last states of the directions side by side; padding is at the end and stays zero."""
        layers = self.forward, self.backward
        weights = jax.tree.map(lambda *both: jnp.stack(both), *(layer.weights(inputs.shape[-1]) for layer in layers))
        both = jnp.stack([inputs, inputs[:, ::-1]])
        masks = None if mask is None else jnp.stack([mask, mask[:, ::-1]])
        start = self.forward.zero(inputs.shape[0], jnp.result_type(inputs, weights["kernel"]))
        looked_at = observed(self)
        run = jax.vmap(lambda weights, x, mask: _over_time(self.forward, weights, x, mask, start, None, looked_at))
        outputs, states, gates = run(weights, both, masks)
        _sow_gates(self, gates, mask)
        ahead, back = outputs[0], outputs[1][:, ::-1]
        state = tuple(jnp.concatenate([leaf[0], leaf[1]], axis=-1) for leaf in states)
        return (ahead + back if self.summed else jnp.concatenate([ahead, back], axis=-1)), state
