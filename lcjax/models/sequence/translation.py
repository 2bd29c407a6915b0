"""Translation by an encoder and a decoder with global attention and input feeding (Hestness et al., 2019)."""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from lcjax.models.layers.attention import attend, masked_softmax
from lcjax.models.layers.recurrent import LSTM, Bidirectional, State, Weights, scaled_units, uniform
from lcjax.models.sequence.language import Head
from lcjax.models.sowing import is_observed, sow_preactivation
from lcjax.typing import Array

__all__ = ["Translation"]

PADDING = 0


class Translation(nn.Module):
    """LSTM encoder and LSTM decoder with global attention (Luong et al., 2015, "general") and input feeding.

    At each step the decoder's LSTMs read the previous target token and the previous attentional vector. Their last
    state h is compared with the encoder's states e_s. With the mean c of e_s under softmax(h W e_s), the attentional
    vector is tanh([c, h] W_c), the input of the output layer, whose weights are tied to the target's embedding. Encoder
    and decoder have the same number of layers, and the decoder starts from the encoder's last states. Embeddings and
    states have the same units. Each gate has two biases, as in the implementation used by Hestness et al. (2019): with
    36,547 source and 36,549 target symbols and a unidirectional encoder there are 39 H^2 + 32 H + 73,096 H + 36,549
    parameters, which match the paper's 8,389,269 at H = 108 and 67,545,009 at H = 678. Its text specifies a
    bidirectional encoder; each direction then has half of the units, and the factor of H^2 is 35.

    Inputs are a dictionary of "source" `(b, s)`, tokens of which 0 is padding, and "target" `(b, t)`, the tokens that
    precede those to predict.

    Attributes:
        source_classes: size of the source vocabulary.
        classes: size of the target vocabulary.
        units: H, at width 1.
        layers: layers of the encoder and of the decoder.
        bidirectional: encode in both directions; the units are rounded up to an even number.
        width: factor of the units; the product is rounded up.
        dropout: fraction of the units dropped between layers and of the attentional vector (0.2 in the paper, or 0).
        spread: both embeddings are initialized uniformly between minus and plus this.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> tokens = jnp.ones((1, 25), jnp.int32)
        >>> lc.models.parameter_count(Translation(36_547, 36_549, 108), {"source": tokens, "target": tokens})
        8389269
    """

    source_classes: int = 36_547
    classes: int = 36_549
    units: int = 512
    layers: int = 2
    bidirectional: bool = False
    width: float = 1.0
    dropout: float = 0.0
    spread: float = 0.1

    def setup(self) -> None:  # noqa: D102
        if self.layers < 1:
            raise ValueError(f"A translation model needs at least one layer, got layers={self.layers}.")
        h = scaled_units(self.units, self.width, 2 if self.bidirectional else 1)
        self.source_embedding = nn.Embed(self.source_classes, h, embedding_init=uniform(self.spread))
        self.target_embedding = nn.Embed(self.classes, h, embedding_init=uniform(self.spread))
        self.encoder = [Bidirectional(_cell, h // 2) if self.bidirectional else _cell(h) for _ in range(self.layers)]
        self.decoder = Decoder(h, self.layers, self.dropout)
        self.dropping = nn.Dropout(self.dropout)
        self.head = Head(self.classes, self.target_embedding)

    def _decode(
        self, inputs: Mapping[str, Array], *, train: bool
    ) -> tuple[Float[jax.Array, "b t h"], Float[jax.Array, "b t s"]]:
        source, target = (jnp.asarray(inputs[name]) for name in ("source", "target"))
        if len(source) != len(target):
            raise ValueError(f"The number of sequences differs: {len(source)} sources and {len(target)} targets.")
        mask, value, states = source != PADDING, self.source_embedding(source), []
        for i, layer in enumerate(self.encoder):
            if i:
                value = self.dropping(value, deterministic=not train)
            value, state = layer(value, mask=mask)
            states.append(state)
        return self.decoder(self.target_embedding(target), value, mask, tuple(states), train=train)

    def features(self, inputs: Mapping[str, Array], *, train: bool = False) -> Float[jax.Array, "b t h"]:
        """Return the head's inputs: the attentional vectors, `(b, t, units)`."""
        return self._decode(inputs, train=train)[0]

    def attention(self, inputs: Mapping[str, Array]) -> Float[jax.Array, "b t s"]:
        """Return the attention weights of target over source positions; rows sum to one, padding has weight zero."""
        return self._decode(inputs, train=False)[1]

    def __call__(self, inputs: Mapping[str, Int[Array, "b _"]], *, train: bool = False) -> Float[jax.Array, "b t c"]:
        """Return the scores of each target token, `(b, t, classes)`."""
        return self.head(self.features(inputs, train=train))


def _cell(units: int) -> LSTM:
    return LSTM(units, second_bias=True)


class Decoder(nn.Module):
    """LSTM layers with input feeding and global attention over the encoder's states, all of the same units."""

    units: int
    layers: int
    dropout: float

    def setup(self) -> None:
        self.cells = [_cell(self.units) for _ in range(self.layers)]
        self.dropping = nn.Dropout(self.dropout)
        self.scoring = nn.Dense(self.units, use_bias=False, kernel_init=uniform(self.units**-0.5))
        self.combining = self.param("combining_kernel", uniform((2 * self.units) ** -0.5), (2 * self.units, self.units))

    def __call__(
        self,
        embedded: Float[Array, "b t h"],
        encoded: Float[Array, "b s h"],
        mask: Bool[Array, "b s"],
        states: tuple[State, ...],
        *,
        train: bool,
    ) -> tuple[Float[jax.Array, "b t h"], Float[jax.Array, "b t s"]]:
        """Return the attentional vectors and the attention weights; `mask` is False at padded source positions."""
        (b, t, h), dtype = embedded.shape, embedded.dtype
        weights = [cell.weights(h if i else 2 * h) for i, cell in enumerate(self.cells)]
        combining = self.combining
        keys = self.scoring(encoded)
        values = encoded @ combining[:h]  # W_c of the mean is the mean of W_c
        fed = weights[0]["kernel"][h:]
        projected = jnp.swapaxes(embedded, 0, 1) @ weights[0]["kernel"][:h] + weights[0]["bias"]
        scales = self.dropping(jnp.ones((t, self.layers, b, h), dtype), deterministic=not train)

        def body(
            carry: tuple[tuple[State, ...], jax.Array], inputs: tuple[jax.Array, jax.Array]
        ) -> tuple[tuple[tuple[State, ...], jax.Array], tuple[jax.Array, jax.Array, list[jax.Array] | None]]:
            (states, before), (projected, scales) = carry, inputs
            new, gates = _step_layers(self.cells, weights, states, projected + before @ fed, scales)
            top = new[-1][0]
            attention = masked_softmax(jnp.einsum("bh,bsh->bs", top, keys), mask)
            combined = attend(attention, values) + top @ combining[h:]
            vector = jnp.tanh(combined) * scales[-1]
            return (new, vector), (vector, attention, [*gates, combined] if keep_gates else None)

        keep_gates = is_observed(self)
        _, (vectors, attention, gates) = jax.lax.scan(body, (states, jnp.zeros((b, h), dtype)), (projected, scales))
        for gate in gates or ():
            sow_preactivation(self, jnp.swapaxes(gate, 0, 1))
        return jnp.swapaxes(vectors, 0, 1), jnp.swapaxes(attention, 0, 1)


def _step_layers(
    cells: Sequence[LSTM], weights: Sequence[Weights], states: Sequence[State], projected: jax.Array, scales: jax.Array
) -> tuple[tuple[State, ...], list[jax.Array]]:
    """Advance stacked layers by one step; return their states and the pre-activations of their gates."""
    new: list[State] = []
    all_gates: list[jax.Array] = []
    for i, (cell, weight, state) in enumerate(zip(cells, weights, states, strict=True)):
        if i:
            projected = new[-1][0] * scales[i - 1] @ weight["kernel"] + weight["bias"]
        after, gates = cell.step(weight, state, projected)
        new.append(after)
        all_gates.append(gates)
    return tuple(new), all_gates
