"""Translation: an encoder, and a decoder with global attention and input feeding, as in the paper on the hierarchy."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from lcjax.models.layers.attention import attend, masked_softmax
from lcjax.models.layers.recurrent import LSTM, Bidirectional, State, Weights, scaled_units, uniform
from lcjax.models.sequence.language import Head
from lcjax.models.sowing import observed, sow_preactivation

__all__ = ["Translation"]

Array = jax.Array | np.ndarray

PADDING = 0


class Translation(nn.Module):
    """LSTM encoder, LSTM decoder with global attention (Luong et al., 2015, "general") and input feeding.

    At each step the decoder's LSTMs read the target token before and the attentional vector before, their last state h
    is compared with the encoder's states e_s, and with their mean c under softmax(h W e_s) the attentional vector is
    tanh([c, h] W_c), which the output layer sees; that layer has the weights of the target's embedding. Decoder and
    encoder have as many layers, and the decoder begins with the encoder's last states. Embeddings and states all have
    the same units. Two biases a gate, as in the implementation that the paper used: with 36,547 source and 36,549
    target symbols and the encoder in one direction there are 39 H^2 + 32 H + 73,096 H + 36,549 parameters, which are
    the paper's 8,389,269 at H = 108 and 67,545,009 at H = 678. Its text says bidirectional: each direction has half of
    the units then, and H^2 counts 35 times.

    Inputs are a dictionary of "source" `(b, s)`, tokens of which 0 is padding, and "target" `(b, t)`, the tokens before
    those to predict.

    Attributes:
        source_classes: size of the source's vocabulary.
        classes: size of the target's vocabulary.
        units: H, at width 1.
        layers: of encoder and of decoder.
        bidirectional: encode in both directions; the units are rounded up to an even number.
        width: factor of the units; the product is rounded up.
        dropout: share of the units dropped between layers and of the attentional vector (0.2 in the paper, or 0).
        spread: both embeddings are drawn uniformly between minus and plus this.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> tokens = jnp.ones((1, 25), jnp.int32)
        >>> inputs = {"source": tokens, "target": tokens}
        >>> variables = jax.eval_shape(Translation(36_547, 36_549, 108).init, jax.random.key(0), inputs)
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables))
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
        self.encoder = [
            Bidirectional(_cell, h // 2) if self.bidirectional else LSTM(h, second_bias=True)
            for _ in range(self.layers)
        ]
        self.decoder = Decoder(h, self.layers, self.dropout)
        self.dropping = nn.Dropout(self.dropout)
        self.head = Head(self.classes, self.target_embedding)

    def _decoded(self, inputs: Mapping[str, Array], *, train: bool) -> tuple[jax.Array, jax.Array]:
        source, target = (jnp.asarray(inputs[name]) for name in ("source", "target"))
        if len(source) != len(target):
            raise ValueError(f"There are {len(source)} source sequences and {len(target)} target sequences.")
        mask, value, states = source != PADDING, self.source_embedding(source), []
        for i, layer in enumerate(self.encoder):
            if i:
                value = self.dropping(value, deterministic=not train)
            value, state = layer(value, mask=mask)
            states.append(state)
        return self.decoder(self.target_embedding(target), value, mask, tuple(states), train=train)

    def features(self, inputs: Mapping[str, Array], *, train: bool = False) -> Float[jax.Array, "b t h"]:
        """What the head sees: the attentional vectors, `(b, t, units)`."""
        return self._decoded(inputs, train=train)[0]

    def attention(self, inputs: Mapping[str, Array]) -> Float[jax.Array, "b t s"]:
        """How much each target position looks at each source position; rows sum to one, padding has zero."""
        return self._decoded(inputs, train=False)[1]

    def __call__(self, inputs: Mapping[str, Int[Array, "b _"]], *, train: bool = False) -> Float[jax.Array, "b t c"]:
        """Scores of each target token, `(b, t, classes)`."""
        return self.head(self.features(inputs, train=train))


def _cell(units: int) -> LSTM:
    return LSTM(units, second_bias=True)


class Decoder(nn.Module):
    """LSTM layers with input feeding and global attention over what was encoded.

    Attributes:
        units: of embeddings, states and what was encoded.
        layers: LSTMs.
        dropout: share of the units dropped between layers and of the attentional vector.
    """

    units: int
    layers: int
    dropout: float

    def setup(self) -> None:
        self.cells = [LSTM(self.units, second_bias=True) for _ in range(self.layers)]
        self.dropping = nn.Dropout(self.dropout)
        self.scoring = nn.Dense(self.units, use_bias=False, kernel_init=uniform(self.units**-0.5))
        self.combining = self.param("combining_kernel", uniform((2 * self.units) ** -0.5), (2 * self.units, self.units))

    def __call__(
        self,
        embedded: Float[Array, "b t h"],
        encoded: Float[Array, "b s h"],
        mask: Array,
        states: tuple[State, ...],
        *,
        train: bool,
    ) -> tuple[Float[jax.Array, "b t h"], Float[jax.Array, "b t s"]]:
        """Attentional vectors, and the attention weights.

        Args:
            embedded: target tokens, each the one before that to predict.
            encoded: what is looked at.
            mask: positions of it that are there.
            states: of the layers, to begin with.
            train: drop units.
        """
        (b, t, h), dtype = embedded.shape, embedded.dtype
        weights = [cell.weights(h if i else 2 * h) for i, cell in enumerate(self.cells)]
        combining = self.combining
        keys = self.scoring(encoded)
        values = encoded @ combining[:h]  # what W_c makes of the mean is the mean of what it makes
        fed = weights[0]["kernel"][h:]
        projected = jnp.swapaxes(embedded, 0, 1) @ weights[0]["kernel"][:h] + weights[0]["bias"]
        kept = self.dropping(jnp.ones((t, self.layers, b, h), dtype), deterministic=not train)

        def body(state: tuple[Any, jax.Array], now: tuple[jax.Array, jax.Array]) -> Any:
            (states, before), (projected, kept) = state, now
            new, gates = _stack(self.cells, weights, states, projected + before @ fed, kept)
            top = new[-1][0]
            looks = masked_softmax(jnp.einsum("bh,bsh->bs", top, keys), mask)
            combined = attend(looks, values) + top @ combining[h:]
            vector = jnp.tanh(combined) * kept[-1]
            return (new, vector), (vector, looks, [*gates, combined] if sown else None)

        sown = observed(self)
        _, (vectors, looks, gates) = jax.lax.scan(body, (states, jnp.zeros((b, h), dtype)), (projected, kept))
        for gate in gates or ():
            sow_preactivation(self, jnp.swapaxes(gate, 0, 1))
        return jnp.swapaxes(vectors, 0, 1), jnp.swapaxes(looks, 0, 1)


def _stack(
    cells: Sequence[LSTM], weights: Sequence[Weights], states: Sequence[State], projected: jax.Array, kept: jax.Array
) -> tuple[tuple[State, ...], list[jax.Array]]:
    """One step of layers on top of each other."""
    new: list[State] = []
    seen: list[jax.Array] = []
    for i, (cell, weight, state) in enumerate(zip(cells, weights, states, strict=True)):
        if i:
            projected = new[-1][0] * kept[i - 1] @ weight["kernel"] + weight["bias"]
        after, gates = cell.step(weight, state, projected)
        new.append(after)
        seen.append(gates)
    return tuple(new), seen
