"""Language models: LSTM and recurrent highway nets over words or characters."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from lcjax.models.layers.recurrent import LSTM, RHN, Recurrent, State, scaled_units, uniform
from lcjax.models.sowing import sow_preactivation

__all__ = ["CharacterLanguageModel", "Head", "LanguageModel", "WordLanguageModel"]

Array = jax.Array | np.ndarray

CARRY = "carry"


class Head(nn.Module):
    """A linear output layer, with weights of its own or those of an embedding.

    Attributes:
        classes: outputs.
        embedding: whose table is the kernel, transposed; only the bias is a parameter then.
    """

    classes: int
    embedding: nn.Embed | None = None

    @nn.compact
    def weights(self, features: int) -> tuple[Array, Array]:
        """Kernel `(features, classes)` and bias."""
        bias = self.param("bias", nn.initializers.zeros, (self.classes,))
        if self.embedding is not None:
            return self.embedding.embedding.T, bias
        return self.param("kernel", nn.initializers.lecun_normal(), (features, self.classes)), bias

    def __call__(self, features: Float[Array, "b *t d"]) -> Float[jax.Array, "b *t c"]:
        """Outputs, `(..., classes)`."""
        kernel, bias = self.weights(features.shape[-1])
        outputs = jnp.asarray(features) @ kernel + bias
        sow_preactivation(self, outputs)
        return outputs


class LanguageModel(nn.Module):
    """Predicts the next token: embedding, recurrent layers, linear output; embedding and layers have the same units.

    Attributes:
        classes: size of the vocabulary.
        units: of the embedding and of each layer, at width 1.
        layers: recurrent layers.
        depth: of a recurrent highway net; None is an LSTM.
        tied: the output layer takes the weights of the embedding.
        continuous: the state goes from a window to the next one, in the collection "carry" (arrays `(b, units)`, zero
            where absent); gradients stop at the window's border.
        width: factor of the units; the product is rounded up.
        dropout: share of the units dropped before, between and after the layers (Zaremba et al., 2014).
        variational: shares dropped of words, of inputs, of states and of outputs, each with one mask for all steps of
            a sequence (Gal and Ghahramani, 2016; 0.25, 0.75, 0.25, 0.75 in Zilly et al., 2017, as x, i, h, o).
        spread: the embedding is drawn uniformly between minus and plus this. Nets of some 50 units under Adam leave the
            plateau of word frequencies hundreds of steps sooner with 1.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> model = WordLanguageModel(10_000, 512)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 80), jnp.int32))
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
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
        self.recurrent = [self._layer(units) for _ in range(self.layers)]
        self.dropping = nn.Dropout(self.dropout)
        self.head = Head(self.classes, self.embedding if self.tied else None)

    def _layer(self, units: int) -> Recurrent:
        return LSTM(units) if self.depth is None else RHN(units, self.depth)

    def features(self, inputs: Num[Array, "*shape"], *, train: bool = False) -> Float[jax.Array, "b t d"]:
        """What the head sees, `(b, t, units)`, from tokens `(b, t)`."""
        if inputs.ndim != 2 or not jnp.issubdtype(inputs.dtype, jnp.integer):
            raise ValueError(f"A language model takes integer tokens (b, t), got {inputs.dtype} of {inputs.shape}.")
        words, entering, states, leaving = self.variational
        value = self.embedding(inputs)
        if train and words:
            kept = self._noise(words, (len(inputs), self.classes), value.dtype)
            value = value * jnp.take_along_axis(kept, jnp.asarray(inputs), axis=1)[..., None]
        b, units = len(inputs), value.shape[-1]
        value = self.dropping(value, deterministic=not train)
        for i, layer in enumerate(self.recurrent):
            if train and entering:
                value = value * self._noise(entering, (b, 1, units), value.dtype)
            noise = self._noise(states, (b, units), value.dtype) if train and states else None
            value, last = layer(value, state=self._remembered(i, b, value), noise=noise)
            self._remember(i, last)
            value = self.dropping(value, deterministic=not train)
        if train and leaving:
            value = value * self._noise(leaving, (b, 1, units), value.dtype)
        return value

    def __call__(self, inputs: Num[Array, "*shape"], *, train: bool = False) -> Float[jax.Array, "b t c"]:
        """Scores of the token after each, `(b, t, classes)`."""
        return self.head(self.features(inputs, train=train))

    def _noise(self, share: float, shape: tuple[int, ...], dtype: np.dtype) -> jax.Array:
        return jax.random.bernoulli(self.make_rng("dropout"), 1 - share, shape).astype(dtype) / (1 - share)

    def _names(self, layer: int) -> list[str]:
        return [f"layer_{layer}_{i}" for i in range(self.recurrent[layer].states)]

    def _remembered(self, layer: int, b: int, like: jax.Array) -> State | None:
        if not self.continuous:
            return None
        zero = jnp.zeros((b, like.shape[-1]), like.dtype)
        state = tuple(self.get_variable(CARRY, name, zero) for name in self._names(layer))
        if state[0].shape[0] != b:
            raise ValueError(
                f"The state that a language model carries is of {state[0].shape[0]} sequences, the minibatch has {b}: "
                f'leave out the collection "{CARRY}" where the batch changes.'
            )
        return tuple(jax.lax.stop_gradient(leaf).astype(like.dtype) for leaf in state)

    def _remember(self, layer: int, state: State) -> None:
        if self.continuous and self.is_mutable_collection(CARRY):
            for name, leaf in zip(self._names(layer), state, strict=True):
                kept = self.get_variable(CARRY, name, leaf).dtype  # stays what it was where parameters are narrowed
                self.put_variable(CARRY, name, jnp.zeros_like(leaf) if self.is_initializing() else leaf.astype(kept))


class WordLanguageModel(LanguageModel):
    """The word model of Hestness et al. (2019): 2 or 4 layers of LSTM, or one recurrent highway layer of depth 5.

    10,004 classes, minibatches continuous over windows of 80 words, no dropout; `LanguageModel` has the fields.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> model = WordLanguageModel(10_000, 830, layers=1, depth=5, tied=True)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 80), jnp.int32))
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
        16585100
    """

    continuous: bool = True


class CharacterLanguageModel(LanguageModel):
    """The character model of Hestness et al. (2019): a recurrent highway net of depth 10, 98 characters.

    Sequences of at most 150 characters are separate; `LanguageModel` has the fields.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> model = CharacterLanguageModel(65, 128, width=0.5)
        >>> model.init_with_output(jax.random.key(0), jnp.zeros((2, 9), jnp.int32))[0].shape
        (2, 9, 65)
    """

    classes: int = 98
    layers: int = 1
    depth: int | None = 10
