"""Speech recognition: Deep Speech 2 with CTC, and an attention model."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from lcjax.models.layers.attention import attend, hybrid_scores, masked_softmax
from lcjax.models.layers.convolution import Conv
from lcjax.models.layers.recurrent import LSTM, Bidirectional, Recurrent, scaled_units, uniform
from lcjax.models.sequence.language import Head
from lcjax.models.sowing import observed, sow_preactivation

__all__ = ["AttentionSpeech", "DeepSpeech"]

Array = jax.Array | np.ndarray
Sound = tuple[Float[jax.Array, "b f d"], Bool[jax.Array, "b f"]]

PLACES = 5  # before and behind, that the place of attention is seen from


class DeepSpeech(nn.Module):
    """Deep Speech 2 (Amodei et al., 2016): two convolutions, bidirectional LSTMs, a score of each label for each frame.

    As in a public implementation (SeanNaren's): convolutions of 41 x 11 and 21 x 11 frequencies and frames with strides
    2 x 2 and 2 x 1, each with normalization and ReLU clipped at 20; the directions of an LSTM are added; normalization
    after every LSTM, and a linear output without bias. The paper on the hierarchy takes
    four LSTMs. Frames beyond a sequence's length count nowhere, normalization included, and the width factor scales the
    LSTMs, not the convolutions.

    Inputs are a dictionary of "frames" `(b, f, bins)` and "length" `(b,)`. The outputs are one, too: "logits"
    `(b, f', classes)`, f' = ceil(f / 2), for class 0, the blank of CTC, and labels from 1, and "length", the frames of
    f' that count.

    Attributes:
        classes: labels and the blank.
        units: of each direction of an LSTM, at width 1.
        layers: LSTMs.
        width: factor of the units; the product is rounded up.
        filters: of the convolutions.
        kernels: their sizes, frequencies and frames, odd.
        strides: theirs, frequencies and frames.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> inputs = {"frames": jnp.ones((2, 9, 8)), "length": jnp.array([9, 4])}
        >>> model = DeepSpeech(5, 6, filters=(2, 2), kernels=((5, 3), (3, 3)))
        >>> outputs, _ = jax.jit(model.init_with_output)(jax.random.key(0), inputs)
        >>> outputs["logits"].shape, outputs["length"]
        ((2, 5, 5), Array([5, 2], dtype=int32))
    """

    classes: int = 29
    units: int = 512
    layers: int = 4
    width: float = 1.0
    filters: tuple[int, ...] = (32, 32)
    kernels: tuple[tuple[int, int], ...] = ((41, 11), (21, 11))
    strides: tuple[tuple[int, int], ...] = ((2, 2), (2, 1))

    def setup(self) -> None:  # noqa: D102
        if self.layers < 1:
            raise ValueError(f"Deep Speech needs at least one LSTM, got layers={self.layers}.")
        if not all(side % 2 for kernel in self.kernels for side in kernel):
            raise ValueError(f"The sides of the kernels must be odd, got {self.kernels}.")
        units = scaled_units(self.units, self.width)
        self.convolutions = [
            Conv(filters, (times, bins), (along, across), ((times // 2, times // 2), (bins // 2, bins // 2)))
            for filters, (bins, times), (across, along) in zip(self.filters, self.kernels, self.strides, strict=True)
        ]
        self.convolution_norms = [_norm() for _ in self.filters]
        self.recurrent = [Bidirectional(LSTM, units, summed=True) for _ in range(self.layers)]
        self.norms = [_norm() for _ in range(self.layers)]
        self.head = nn.Dense(self.classes, use_bias=False)

    def _heard(self, inputs: Mapping[str, Array], *, train: bool) -> tuple[jax.Array, jax.Array]:
        frames, length = _frames(inputs)
        value, mask = frames[..., None], _mask(length, frames.shape[1])
        value = jnp.where(mask[..., None, None], value, 0)
        for convolution, norm, (_, stride) in zip(self.convolutions, self.convolution_norms, self.strides, strict=True):
            value = convolution(value)
            length = (length - 1) // stride + 1
            mask = _mask(length, value.shape[1])
            shown = mask[..., None, None]
            value = norm(value, use_running_average=not train, mask=shown)
            value = jnp.where(shown, jnp.clip(value, 0, 20), 0)
        value = value.reshape(*value.shape[:2], -1)
        for layer, norm in zip(self.recurrent, self.norms, strict=True):
            value, _ = layer(value, mask=mask)
            value = norm(value, use_running_average=not train, mask=mask[..., None])
        return value, length

    def features(self, inputs: Mapping[str, Array], *, train: bool = False) -> Float[jax.Array, "b f d"]:
        """What the head sees, `(b, f', units)`."""
        return self._heard(inputs, train=train)[0]

    def __call__(self, inputs: Mapping[str, Array], *, train: bool = False) -> dict[str, jax.Array]:
        """Scores of the labels for each frame, and the frames that count."""
        value, length = self._heard(inputs, train=train)
        return {"logits": self.head(value), "length": length}


class AttentionSpeech(nn.Module):
    """An encoder of three bidirectional layers with two poolings between, a recurrent decoder with attention.

    The model of the paper on the hierarchy, after Battenberg et al. (2017). Each pooling takes the larger of two
    neighbouring frames. A first cell of the decoder reads the label before and what was attended to before; with its
    state the decoder attends, by content and by place (`hybrid_scores`); a second cell reads that state and what was
    attended to, and the output layer sees its state. All layers have the same units. The paper leaves open, and ours
    is: directions side by side, states that begin at zero, a filter over 2 x 5 + 1 places.

    Inputs are a dictionary of "frames" `(b, f, bins)`, "length" `(b,)` and "target" `(b, t)`, the labels before those
    to predict, of which the first is the start symbol. The outputs are "logits" `(b, t, classes)` and, outside
    training, "decoded" `(b, t)`: the labels by greedy decoding, from the start symbol and its own labels alone, up to
    the end symbol and with it, then -1.

    Attributes:
        classes: labels, start and end included.
        end: number of the end symbol.
        units: of each direction of the encoder, of attention and of each cell of the decoder, at width 1.
        cell: `LSTM` or `GRU` (the paper's text names both).
        layers: of the encoder; between two of them frames are pooled.
        width: factor of the units; the product is rounded up.
        spread: the embedding is drawn uniformly between minus and plus this.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> inputs = {"frames": jnp.ones((2, 9, 8)), "length": jnp.array([9, 4]), "target": jnp.ones((2, 3), int)}
        >>> outputs, _ = jax.jit(AttentionSpeech(5, 4, 6).init_with_output)(jax.random.key(0), inputs)
        >>> outputs["logits"].shape, outputs["decoded"].shape
        ((2, 3, 5), (2, 3))
    """

    classes: int = 31
    end: int = 30
    units: int = 256
    cell: Callable[[int], Recurrent] = LSTM
    layers: int = 3
    width: float = 1.0
    spread: float = 0.1

    def setup(self) -> None:  # noqa: D102
        if self.layers < 1 or not 0 <= self.end < self.classes:
            raise ValueError(
                "An attention model needs at least one layer, and an end symbol among its classes, "
                f"got layers={self.layers}, end={self.end} of {self.classes}."
            )
        h = scaled_units(self.units, self.width)
        self.encoder = [Bidirectional(self.cell, h) for _ in range(self.layers)]
        self.embedding = nn.Embed(self.classes, h, embedding_init=uniform(self.spread))
        self.decoder = _Decoder(h, self.cell)
        self.head = Head(self.classes)

    def _encoded(self, inputs: Mapping[str, Array]) -> Sound:
        value, length = _frames(inputs)
        for i, layer in enumerate(self.encoder):
            if i:
                value, length = _halved(value, length)
            value, _ = layer(value, mask=_mask(length, value.shape[1]))
        return value, _mask(length, value.shape[1])

    def features(self, inputs: Mapping[str, Array], *, train: bool = False) -> Float[jax.Array, "b t d"]:
        """What the head sees, `(b, t, units)`, each label given those before it."""
        return self.decoder(self._embedded(inputs), *self._encoded(inputs))[0]

    def attention(self, inputs: Mapping[str, Array]) -> Float[jax.Array, "b t s"]:
        """How much each label looks at each encoded frame; rows sum to one, padding has zero."""
        return self.decoder(self._embedded(inputs), *self._encoded(inputs))[1]

    def _embedded(self, inputs: Mapping[str, Array]) -> jax.Array:
        return self.embedding(jnp.asarray(inputs["target"]))

    def __call__(self, inputs: Mapping[str, Array], *, train: bool = False) -> dict[str, jax.Array]:
        """Scores of each label given those before it, and outside training what is decoded without them."""
        sound = self._encoded(inputs)
        outputs = {"logits": self.head(self.decoder(self._embedded(inputs), *sound)[0])}
        if not train:
            target = jnp.asarray(inputs["target"])
            outputs["decoded"] = self._greedy(target[:, 0], target.shape[1], *sound)
        return outputs

    def _greedy(
        self, start: Int[jax.Array, " b"], t: int, encoded: jax.Array, mask: jax.Array
    ) -> Int[jax.Array, "b t"]:
        table = jnp.asarray(self.embedding.embedding)
        kernel, bias = self.head.weights(table.shape[1])
        project, step, state = self.decoder.stepper(encoded, mask)

        def body(carry: tuple[Any, jax.Array, jax.Array], _: None) -> Any:
            state, label, ended = carry
            state, (value, _, _) = step(state, project(table[label]))
            label = jnp.argmax(value @ kernel + bias, axis=-1).astype(jnp.int32)
            return (state, label, ended | (label == self.end)), jnp.where(ended, -1, label)

        begin = (state, start.astype(jnp.int32), jnp.zeros(len(start), bool))
        return jnp.swapaxes(jax.lax.scan(body, begin, length=t)[1], 0, 1)


class _Decoder(nn.Module):
    units: int
    cell: Callable[[int], Recurrent]

    def setup(self) -> None:
        h, initial = self.units, uniform(self.units**-0.5)
        self.attending, self.emitting = self.cell(h), self.cell(h)
        self.keys = nn.Dense(h)
        self.hybrid = {
            "query": self.param("query", initial, (h, h)),
            "location": self.param("location", initial, (2 * PLACES + 1, h)),
            "score": self.param("score", initial, (h,)),
        }

    def __call__(self, embedded: Array, encoded: Array, mask: Array) -> tuple[jax.Array, jax.Array]:
        project, step, state = self.stepper(encoded, mask)
        _, (values, looks, gates) = jax.lax.scan(step, state, project(jnp.swapaxes(embedded, 0, 1)))
        for gate in gates or ():
            sow_preactivation(self, jnp.swapaxes(gate, 0, 1))
        return jnp.swapaxes(values, 0, 1), jnp.swapaxes(looks, 0, 1)

    def stepper(self, encoded: Array, mask: Array) -> tuple[Callable[..., Any], Callable[..., Any], Any]:
        """The part of a step that the label before gives, the rest of it, and the state to begin with."""
        h, (b, s, d), dtype = self.units, encoded.shape, encoded.dtype
        first, second, keys = self.attending.weights(h + d), self.emitting.weights(h + d), self.keys(encoded)
        hybrid, sown = self.hybrid, observed(self)

        def project(embedded: jax.Array) -> jax.Array:
            return embedded @ first["kernel"][:h] + first["bias"]

        def step(state: Any, projected: jax.Array) -> Any:
            attending, emitting, context, looks = state
            attending, gates = self.attending.step(first, attending, projected + context @ first["kernel"][h:])
            looks = masked_softmax(hybrid_scores(hybrid, attending[0], keys, looks), mask)
            context = attend(looks, encoded)
            seen = jnp.concatenate([attending[0], context], axis=-1)
            emitting, more = self.emitting.step(second, emitting, seen @ second["kernel"] + second["bias"])
            return (attending, emitting, context, looks), (emitting[0], looks, (gates, more) if sown else None)

        zero = jnp.zeros((b, d), dtype), jnp.zeros((b, s), dtype)
        return project, step, (self.attending.zero(b, dtype), self.emitting.zero(b, dtype), *zero)


def _frames(inputs: Mapping[str, Array]) -> tuple[jax.Array, jax.Array]:
    frames, length = jnp.asarray(inputs["frames"]), jnp.asarray(inputs["length"])
    if frames.ndim != 3 or length.shape != frames.shape[:1]:
        raise ValueError(f"Speech is frames (b, f, bins) and lengths (b,), got {frames.shape} and {length.shape}.")
    return frames, length


def _mask(length: jax.Array, frames: int) -> jax.Array:
    return jnp.arange(frames) < length[:, None]


def _norm() -> nn.BatchNorm:
    return nn.BatchNorm(momentum=0.9)


def _halved(value: jax.Array, length: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The larger of two neighbouring frames; an odd last one stays alone."""
    value = jnp.where(_mask(length, value.shape[1])[..., None], value, -jnp.inf)
    value = jnp.pad(value, ((0, 0), (0, value.shape[1] % 2), (0, 0)), constant_values=-jnp.inf)
    value, length = jnp.maximum(value[:, ::2], value[:, 1::2]), (length + 1) // 2
    return jnp.where(_mask(length, value.shape[1])[..., None], value, 0), length
