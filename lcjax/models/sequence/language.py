"""Language models: LSTM and recurrent highway networks over words or characters."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Float, Num

from lcjax.models.layers.recurrent import LSTM, RHN, State, scaled_units, uniform
from lcjax.models.sowing import sow_preactivation
from lcjax.typing import Array

__all__ = ["CharacterLanguageModel", "Head", "LanguageModel", "WordLanguageModel"]

CARRY = "carry"


class Head(nn.Module):
    """A linear output layer, whose weights may be tied to an embedding.

    Attributes:
        classes: number of outputs.
        embedding: embedding whose transposed table is the kernel; only the bias is then a parameter.
    """

    classes: int
    embedding: nn.Embed | None = None

    @nn.compact
    def weights(self, features: int) -> tuple[Float[Array, "d c"], Float[Array, " c"]]:
        """Return the kernel `(features, classes)` and the bias."""
        bias = self.param("bias", nn.initializers.zeros, (self.classes,))
        if self.embedding is not None:
            return self.embedding.embedding.T, bias
        return self.param("kernel", nn.initializers.lecun_normal(), (features, self.classes)), bias

    def __call__(self, features: Float[Array, "b *t d"]) -> Float[jax.Array, "b *t c"]:
        """Return the outputs, `(..., classes)`."""
        kernel, bias = self.weights(features.shape[-1])
        outputs = jnp.asarray(features) @ kernel + bias
        sow_preactivation(self, outputs)
        return outputs


class LanguageModel(nn.Module):
    """A model of the next token: embedding, recurrent layers with the same units, and a linear output.

    Attributes:
        classes: size of the vocabulary.
        units: units of the embedding and of each layer, at width 1.
        layers: number of recurrent layers.
        depth: depth of a recurrent highway layer; None selects an LSTM.
        tied: tie the weights of the output layer to the embedding.
        continuous: carry the state from a window to the next one, in the collection "carry" (arrays `(b, units)`, zero
            if absent); gradients stop between windows.
        width: factor of the units; the product is rounded up.
        dropout: fraction of the units dropped before, between and after the layers (Zaremba et al., 2014).
        variational: fractions of words, inputs, states and outputs dropped, each with one mask for all steps of a
            sequence (Gal and Ghahramani, 2016; 0.25, 0.75, 0.25, 0.75 in Zilly et al., 2017, as x, i, h, o).
        spread: the embedding is initialized uniformly between minus and plus this. With 1, networks of about 50 units
            under Adam leave the plateau of word frequencies hundreds of steps earlier.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> lc.models.parameter_count(WordLanguageModel(10_000, 512), jnp.zeros((1, 80), jnp.int32))
        14448400
    """

    classes: int = 10_004
    units: int = 512
    layers: int = 2
    depth: int | None = None
    tied: bool = False
    continuous: bool = False
    width: float = 1.0
    dropout: float = 0.0
    variational: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    spread: float = 0.1

    def setup(self) -> None:  # noqa: D102
        if self.layers < 1:
            raise ValueError(f"A language model needs at least one recurrent layer, got layers={self.layers}.")
        units = scaled_units(self.units, self.width)
        self.embedding = nn.Embed(self.classes, units, embedding_init=uniform(self.spread))
        self.recurrent = [LSTM(units) if self.depth is None else RHN(units, self.depth) for _ in range(self.layers)]
        self.dropping = nn.Dropout(self.dropout)
        self.head = Head(self.classes, self.embedding if self.tied else None)

    def features(self, inputs: Num[Array, "*shape"], *, train: bool = False) -> Float[jax.Array, "b t d"]:
        """Return the head's input, `(b, t, units)`, for tokens `(b, t)`.

        Raises:
            ValueError: the inputs are not integers of two axes, or a carried state has another batch size.
        """
        if inputs.ndim != 2 or not jnp.issubdtype(inputs.dtype, jnp.integer):
            raise ValueError(f"A language model needs integer tokens (b, t), got {inputs.dtype} of {inputs.shape}.")
        words, entering, states, leaving = self.variational
        value: jax.Array = self.embedding(inputs)
        if train and words:
            scales = self._noise(words, (len(inputs), self.classes), value.dtype)
            value = value * jnp.take_along_axis(scales, jnp.asarray(inputs), axis=1)[..., None]
        b, units = len(inputs), value.shape[-1]
        value = self.dropping(value, deterministic=not train)
        for i, layer in enumerate(self.recurrent):
            if train and entering:
                value = value * self._noise(entering, (b, 1, units), value.dtype)
            noise = self._noise(states, (b, units), value.dtype) if train and states else None
            value, last = layer(value, state=self._load_state(i, b, value), noise=noise)
            self._store_state(i, last)
            value = self.dropping(value, deterministic=not train)
        if train and leaving:
            value = value * self._noise(leaving, (b, 1, units), value.dtype)
        return value

    def __call__(self, inputs: Num[Array, "*shape"], *, train: bool = False) -> Float[jax.Array, "b t c"]:
        """Return the scores of the next token at each position, `(b, t, classes)`."""
        return self.head(self.features(inputs, train=train))

    def _noise(self, rate: float, shape: tuple[int, ...], dtype: DTypeLike) -> Float[jax.Array, "..."]:
        return jax.random.bernoulli(self.make_rng("dropout"), 1 - rate, shape).astype(dtype) / (1 - rate)

    def _names(self, layer: int) -> list[str]:
        return [f"layer_{layer}_{i}" for i in range(self.recurrent[layer].states)]

    def _load_state(self, layer: int, b: int, like: jax.Array) -> State | None:
        if not self.continuous:
            return None
        zero = jnp.zeros((b, like.shape[-1]), like.dtype)
        state = tuple(self.get_variable(CARRY, name, zero) for name in self._names(layer))
        if state[0].shape[0] != b:
            raise ValueError(
                f"The carried state has {state[0].shape[0]} sequences, but the minibatch has {b}: omit the collection "
                f'"{CARRY}" if the batch changes.'
            )
        return tuple(jax.lax.stop_gradient(leaf).astype(like.dtype) for leaf in state)

    def _store_state(self, layer: int, state: State) -> None:
        if self.continuous and self.is_mutable_collection(CARRY):
            for name, leaf in zip(self._names(layer), state, strict=True):
                dtype = self.get_variable(CARRY, name, leaf).dtype  # kept if the parameters are cast to another
                self.put_variable(CARRY, name, jnp.zeros_like(leaf) if self.is_initializing() else leaf.astype(dtype))


class WordLanguageModel(LanguageModel):
    """The word model of Hestness et al. (2019): 2 or 4 layers of LSTM, or one recurrent highway layer of depth 5.

    10,004 classes, minibatches that continue over windows of 80 words, no dropout. Fields: see `LanguageModel`.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> model = WordLanguageModel(10_000, 830, layers=1, depth=5, tied=True)
        >>> lc.models.parameter_count(model, jnp.zeros((1, 80), jnp.int32))
        16585100
    """

    continuous: bool = True


class CharacterLanguageModel(LanguageModel):
    """The character model of Hestness et al. (2019): a recurrent highway network of depth 10 over 98 characters.

    Sequences of at most 150 characters are independent. Fields: see `LanguageModel`.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> model = CharacterLanguageModel(65, 128, width=0.5)
        >>> model.init_with_output(jax.random.key(0), jnp.zeros((2, 9), jnp.int32))[0].shape
        (2, 9, 65)
    """

    classes: int = 98
    layers: int = 1
    depth: int | None = 10
