"""Recurrent layers: LSTM, GRU, recurrent highway and bidirectional; input projections are computed outside the loop."""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Bool, Float

from lcjax.models.sowing import is_observed, sow_preactivation
from lcjax.typing import Array

__all__ = ["GRU", "LSTM", "RHN", "Bidirectional", "Recurrent", "scaled_units", "uniform"]

State = tuple[jax.Array, ...]
Weights = dict[str, Array]  # NumPy arrays where variables are applied as they were read
Initializer = Callable[..., jax.Array]


def scaled_units(units: int, width: float | int, multiple: int = 1) -> int:
    """Return the units of a layer under a width factor: `units * width`, rounded up, at least one.

    Args:
        units: units at width 1.
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


def uniform(limit: float) -> Initializer:
    """Make an initializer that draws uniformly between `-limit` and `limit`.

    Examples:
        >>> import jax
        >>> weights = uniform(0.1)(jax.random.key(0), (100, 100))
        >>> round(float(abs(weights).max()), 3)
        0.1
    """

    def initial(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return initial


def _zeros_except(part: int, units: int, value: float) -> Initializer:
    """Make an initializer of biases: `value` in the `part`-th block of `units` biases, zero elsewhere."""

    def initial(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> jax.Array:
        return jnp.zeros(shape, dtype).at[..., part * units : (part + 1) * units].set(value)

    return initial


class Recurrent(nn.Module):
    """A recurrent layer; subclasses define its weights and one step.

    Attributes:
        units: units of the state and of the outputs.
    """

    units: int

    @property
    def states(self) -> int:
        """Number of arrays `(b, units)` in a state; the first is the output."""
        return 1

    def weights(self, features: int) -> Weights:
        """Initialize the parameters for inputs with `features` features: "kernel", "bias" and the recurrent weights."""
        raise NotImplementedError

    def step(
        self, weights: Weights, state: State, projected: Float[Array, "b k"], noise: Array | None = None
    ) -> tuple[State, jax.Array]:
        """Return the next state, given `inputs @ kernel + bias`, and the pre-activations of the gates, `(b, m)`."""
        raise NotImplementedError

    def zero(self, b: int, dtype: DTypeLike) -> State:
        """Return the initial state."""
        return (jnp.zeros((b, self.units), dtype),) * self.states

    def __call__(
        self,
        inputs: Float[Array, "b t d"],
        *,
        mask: Bool[Array, "b t"] | None = None,
        state: State | None = None,
        noise: Float[Array, "b units"] | None = None,
    ) -> tuple[Float[jax.Array, "b t units"], State]:
        """Return the outputs of all steps and the last state.

        Args:
            inputs: sequences.
            mask: False at padded steps, where the state is kept and the output is zero.
            state: initial state, zero by default.
            noise: factor of the state in every product, the same at all steps (variational dropout).
        """
        weights = self.weights(inputs.shape[-1])
        start = self.zero(inputs.shape[0], jnp.result_type(inputs, weights["kernel"])) if state is None else state
        outputs, last, gates = _scan(self, weights, inputs, mask, start, noise, is_observed(self))
        _sow_gates(self, gates, mask)
        return outputs, last


def _scan(
    layer: Recurrent,
    weights: Weights,
    inputs: Float[Array, "b t d"],
    mask: Bool[Array, "b t"] | None,
    state: State,
    noise: Array | None,
    keep_gates: bool,
) -> tuple[Float[jax.Array, "b t units"], State, Float[jax.Array, "t b k"] | None]:
    """Run a layer over time; return outputs, the last state and, if asked for, the pre-activations of the gates."""
    projected = jnp.swapaxes(inputs, 0, 1) @ weights["kernel"] + weights["bias"]  # of all steps at once
    steps = None if mask is None else jnp.swapaxes(mask, 0, 1)[..., None]

    def body(
        state: State, inputs: tuple[jax.Array, jax.Array | None]
    ) -> tuple[State, tuple[jax.Array, jax.Array | None]]:
        projected, is_step = inputs
        new, gates = layer.step(weights, state, projected, noise)
        if is_step is not None:
            new = tuple(jnp.where(is_step, after, before) for after, before in zip(new, state, strict=True))
        return new, (new[0], gates if keep_gates else None)

    state, (outputs, gates) = jax.lax.scan(body, state, (projected, steps))
    if steps is not None:
        outputs = jnp.where(steps, outputs, 0)
    return jnp.swapaxes(outputs, 0, 1), state, gates


def _sow_gates(
    module: nn.Module, gates: Float[jax.Array, "*directions t b k"] | None, mask: Bool[Array, "b t"] | None
) -> None:
    if gates is None:
        return
    batch_first = jnp.moveaxis(gates, -2, 0)
    if mask is not None:
        is_step = jnp.moveaxis(mask if gates.ndim == 3 else jnp.stack([mask, mask[:, ::-1]]), -2, 0)
        batch_first = jnp.where(is_step[..., None], batch_first, 0)
    sow_preactivation(module, batch_first)


class LSTM(Recurrent):
    """Long short-term memory with gates in the order input, forget, candidate, output.

        c' = sigmoid(f) c + sigmoid(i) tanh(g),  h' = sigmoid(o) tanh(c')

    The state is (h, c). Our choices: weights uniform in +-1/sqrt(units), biases zero except for the forget gate's, 1.

    Attributes:
        units: units of the state and of the outputs.
        second_bias: add the redundant bias of cuDNN and PyTorch, which the parameter counts of some papers include.

    Examples:
        >>> import jax, jax.numpy as jnp, lcjax as lc
        >>> (outputs, (h, c)), variables = LSTM(3).init_with_output(jax.random.key(0), jnp.ones((2, 5, 4)))
        >>> outputs.shape, c.shape, lc.models.parameter_count(variables)
        ((2, 5, 3), (2, 3), 96)
    """

    second_bias: bool = False

    @property
    def states(self) -> int:  # noqa: D102
        return 2

    @nn.compact
    def weights(self, features: int) -> Weights:  # noqa: D102
        initial, k = uniform(1 / math.sqrt(self.units)), 4 * self.units
        bias = self.param("bias", _zeros_except(1, self.units, 1.0), (k,))
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
        gates = jnp.asarray(projected) + _apply_noise(h, noise) @ weights["recurrent"]
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        return (nn.sigmoid(o) * jnp.tanh(c), c), gates


class GRU(Recurrent):
    """Gated recurrent unit with the reset gate after the recurrent product, as in cuDNN, PyTorch and Flax.

        r, z = sigmoid(.),  n = tanh(x W_n + b + r (h U_n + b_n)),  h' = n + z (h - n)

    Our choices: weights uniform in +-1/sqrt(units), biases zero.

    Examples:
        >>> import jax, jax.numpy as jnp, lcjax as lc
        >>> (outputs, (h,)), variables = GRU(3).init_with_output(jax.random.key(0), jnp.ones((2, 5, 4)))
        >>> outputs.shape, lc.models.parameter_count(variables)
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
        of_r, of_z, of_n = jnp.split(_apply_noise(h, noise) @ weights["recurrent"], 3, axis=-1)
        r, z = r + of_r, z + of_z
        n = n + nn.sigmoid(r) * (of_n + weights["candidate_bias"])
        candidate = jnp.tanh(n)
        return (candidate + nn.sigmoid(z) * (h - candidate),), jnp.concatenate([r, z, n], axis=-1)


class RHN(Recurrent):
    """Recurrent highway layer (Zilly et al., 2017): `depth` gated micro-layers a step, with carry gate 1 - t.

        h = tanh(s R_h + b_h [+ x W_h]),  t = sigmoid(s R_t + b_t [+ x W_t]),  s' = s + t (h - s)

    The input enters the first micro-layer only. Our choice: weights uniform in +-1/sqrt(units).

    Attributes:
        units: units of the state and of the outputs.
        depth: micro-layers of a step.
        transform_bias: initial b_t; the authors use -2 for Penn Treebank and -4 for enwik8.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> lc.models.parameter_count(RHN(830, 10), jnp.zeros((1, 1, 830)))
        15172400
    """

    depth: int = 5
    transform_bias: float = -2.0

    @nn.compact
    def weights(self, features: int) -> Weights:  # noqa: D102
        if self.depth < 1:
            raise ValueError(f"A recurrent highway layer needs a depth of at least 1, got {self.depth}.")
        initial, k = uniform(1 / math.sqrt(self.units)), 2 * self.units
        biases = self.param("bias", _zeros_except(1, self.units, self.transform_bias), (self.depth, k))
        return {
            "kernel": self.param("kernel", initial, (features, k)),
            "bias": biases[0],
            "later_biases": biases[1:],
            "recurrent": self.param("recurrent_kernel", initial, (self.depth, self.units, k)),
        }

    def step(  # noqa: D102
        self, weights: Weights, state: State, projected: Float[Array, "b k"], noise: Array | None = None
    ) -> tuple[State, jax.Array]:
        (s,), all_gates = state, []
        for i in range(self.depth):
            inputs = weights["later_biases"][i - 1] if i else projected
            gates = inputs + _apply_noise(s, noise) @ weights["recurrent"][i]
            h, t = jnp.split(gates, 2, axis=-1)
            s = s + nn.sigmoid(t) * (jnp.tanh(h) - s)
            all_gates.append(gates)
        return (s,), jnp.concatenate(all_gates, axis=-1)


def _apply_noise(state: Float[jax.Array, "b units"], noise: Array | None) -> Float[jax.Array, "b units"]:
    return state if noise is None else state * jnp.asarray(noise)


class Bidirectional(nn.Module):
    """A recurrent layer in both directions, run as one loop.

    Attributes:
        cell: an LSTM, GRU or RHN, or a function that makes one from its units.
        units: units of each direction.
        summed: add the outputs of the directions (`units` features) instead of concatenating them.

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
        """Return the outputs and the concatenated last states; padding comes last and stays zero."""
        layers = self.forward, self.backward
        weights = jax.tree.map(lambda *both: jnp.stack(both), *(layer.weights(inputs.shape[-1]) for layer in layers))
        both = jnp.stack([inputs, inputs[:, ::-1]])
        masks = None if mask is None else jnp.stack([mask, mask[:, ::-1]])
        start = self.forward.zero(inputs.shape[0], jnp.result_type(inputs, weights["kernel"]))
        run = functools.partial(_scan, self.forward, state=start, noise=None, keep_gates=is_observed(self))
        outputs, states, gates = jax.vmap(run)(weights, both, masks)
        _sow_gates(self, gates, mask)
        ahead, back = outputs[0], outputs[1][:, ::-1]
        state = tuple(jnp.concatenate([leaf[0], leaf[1]], axis=-1) for leaf in states)
        return (ahead + back if self.summed else jnp.concatenate([ahead, back], axis=-1)), state
