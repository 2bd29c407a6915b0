"""Speech recognition: Deep Speech 2 with CTC, and an attention model."""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from lcjax.models.layers.attention import attend, hybrid_scores, masked_softmax
from lcjax.models.layers.convolution import Conv
from lcjax.models.layers.recurrent import LSTM, Bidirectional, Recurrent, State, scaled_units, uniform
from lcjax.models.sequence.language import Head
from lcjax.models.sowing import is_observed, sow_preactivation
from lcjax.typing import Array

__all__ = ["AttentionSpeech", "DeepSpeech"]

Encoding = tuple[Float[jax.Array, "b f d"], Bool[jax.Array, "b f"]]
DecoderState = tuple[State, State, jax.Array, jax.Array]  # of both cells, context, attention weights
Gates = tuple[jax.Array, jax.Array]
Project = Callable[[jax.Array], jax.Array]
Step = Callable[[DecoderState, jax.Array], tuple[DecoderState, tuple[jax.Array, jax.Array, Gates | None]]]

PLACES = 5  # frames on each side in the location filter of attention


class DeepSpeech(nn.Module):
    """Deep Speech 2 (Amodei et al., 2016): two convolutions, bidirectional LSTMs, scores of each label for each frame.

    As in a public implementation (SeanNaren's): convolutions of 41 x 11 and 21 x 11 frequencies and frames with strides
    2 x 2 and 2 x 1, each with normalization and ReLU clipped at 20; LSTMs with summed directions, each followed by
    normalization; a linear output without bias. Hestness et al. (2019) use four LSTMs. Frames beyond the length of a
    sequence are ignored, also by normalization. The width factor scales the LSTMs, not the convolutions.

    Inputs are a dictionary of "frames" `(b, f, bins)` and "length" `(b,)`. Outputs are a dictionary of "logits"
    `(b, f', classes)`, f' = ceil(f / 2), for the blank of CTC (class 0) and labels from 1, and "length", the valid
    frames of f'.

    Attributes:
        classes: number of labels, plus one for the blank.
        units: units of each direction of an LSTM, at width 1.
        layers: number of LSTMs.
        width: factor of the units; the product is rounded up.
        filters: filters of the convolutions.
        kernels: sizes of the kernels, frequencies and frames, odd.
        strides: strides of the convolutions, frequencies and frames.

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
            raise ValueError(f"DeepSpeech needs at least one LSTM, got layers={self.layers}.")
        if not all(side % 2 for kernel in self.kernels for side in kernel):
            raise ValueError(f"The sides of all kernels must be odd, got {self.kernels}.")
        units = scaled_units(self.units, self.width)
        self.convolutions = [
            Conv(filters, (times, bins), (along, across), ((times // 2, times // 2), (bins // 2, bins // 2)))
            for filters, (bins, times), (across, along) in zip(self.filters, self.kernels, self.strides, strict=True)
        ]
        self.convolution_norms = [nn.BatchNorm(momentum=0.9) for _ in self.filters]
        self.recurrent = [Bidirectional(LSTM, units, summed=True) for _ in range(self.layers)]
        self.norms = [nn.BatchNorm(momentum=0.9) for _ in range(self.layers)]
        self.head = nn.Dense(self.classes, use_bias=False)

    def _encode(
        self, inputs: Mapping[str, Array], *, train: bool
    ) -> tuple[Float[jax.Array, "b f d"], Int[jax.Array, " b"]]:
        frames, length = _frames(inputs)
        value, mask = frames[..., None], _mask(length, frames.shape[1])
        value = jnp.where(mask[..., None, None], value, 0)
        for convolution, norm, (_, stride) in zip(self.convolutions, self.convolution_norms, self.strides, strict=True):
            value = convolution(value)
            length = (length - 1) // stride + 1
            mask = _mask(length, value.shape[1])
            is_frame = mask[..., None, None]
            value = norm(value, use_running_average=not train, mask=is_frame)
            value = jnp.where(is_frame, jnp.clip(value, 0, 20), 0)
        value = value.reshape(*value.shape[:2], -1)
        for layer, norm in zip(self.recurrent, self.norms, strict=True):
            value, _ = layer(value, mask=mask)
            value = norm(value, use_running_average=not train, mask=mask[..., None])
        return value, length

    def features(self, inputs: Mapping[str, Array], *, train: bool = False) -> Float[jax.Array, "b f d"]:
        """Return the head's inputs, `(b, f', units)`."""
        return self._encode(inputs, train=train)[0]

    def __call__(self, inputs: Mapping[str, Array], *, train: bool = False) -> dict[str, jax.Array]:
        """Return the scores of the labels for each frame, and the number of valid frames."""
        value, length = self._encode(inputs, train=train)
        return {"logits": self.head(value), "length": length}


class AttentionSpeech(nn.Module):
    """An encoder of three bidirectional layers with pooling between them, and a recurrent decoder with attention.

    The model of Hestness et al. (2019), after Battenberg et al. (2017). Each pooling takes the maximum of two
    neighboring frames. The first cell of the decoder reads the previous label and the previous context. From its state
    the decoder attends by content and location (`hybrid_scores`); the second cell reads that state and the new context,
    and its state enters the output layer. All layers have the same units. Our choices, where the paper is silent:
    concatenated directions, zero initial states, a location filter over 2 x 5 + 1 frames.

    Inputs are a dictionary of "frames" `(b, f, bins)`, "length" `(b,)` and "target" `(b, t)`, the labels that precede
    those to predict; the first is the start symbol. Outputs are "logits" `(b, t, classes)` and, outside training,
    "decoded" `(b, t)`: labels by greedy decoding from the start symbol up to and including the end symbol, then -1.

    Attributes:
        classes: number of labels, start and end included.
        end: number of the end symbol.
        units: units of each direction of the encoder, of attention and of each cell of the decoder, at width 1.
        cell: `LSTM` or `GRU` (the paper's text names both).
        layers: layers of the encoder; frames are pooled between layers.
        width: factor of the units; the product is rounded up.
        spread: the embedding is initialized uniformly between minus and plus this.

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
                "AttentionSpeech needs at least one layer and an end symbol among its classes, "
                f"got layers={self.layers}, end={self.end} of {self.classes}."
            )
        h = scaled_units(self.units, self.width)
        self.encoder = [Bidirectional(self.cell, h) for _ in range(self.layers)]
        self.embedding = nn.Embed(self.classes, h, embedding_init=uniform(self.spread))
        self.decoder = _Decoder(h, self.cell)
        self.head = Head(self.classes)

    def _encode(self, inputs: Mapping[str, Array]) -> Encoding:
        value, length = _frames(inputs)
        for i, layer in enumerate(self.encoder):
            if i:
                value, length = _pool_pairs(value, length)
            value, _ = layer(value, mask=_mask(length, value.shape[1]))
        return value, _mask(length, value.shape[1])

    def features(self, inputs: Mapping[str, Array], *, train: bool = False) -> Float[jax.Array, "b t d"]:
        """Return the head's inputs, `(b, t, units)`, for each label given those before it."""
        return self.decoder(self._embed(inputs), *self._encode(inputs))[0]

    def attention(self, inputs: Mapping[str, Array]) -> Float[jax.Array, "b t s"]:
        """Return the attention weights of labels over encoder frames; rows sum to one, padding has weight zero."""
        return self.decoder(self._embed(inputs), *self._encode(inputs))[1]

    def _embed(self, inputs: Mapping[str, Array]) -> Float[jax.Array, "b t h"]:
        return self.embedding(jnp.asarray(inputs["target"]))

    def __call__(self, inputs: Mapping[str, Array], *, train: bool = False) -> dict[str, jax.Array]:
        """Return the scores of each label given those before it and, outside training, the greedily decoded labels."""
        encoding = self._encode(inputs)
        outputs = {"logits": self.head(self.decoder(self._embed(inputs), *encoding)[0])}
        if not train:
            target = jnp.asarray(inputs["target"])
            outputs["decoded"] = self._decode_greedily(target[:, 0], target.shape[1], *encoding)
        return outputs

    def _decode_greedily(
        self, start: Int[jax.Array, " b"], t: int, encoded: Float[jax.Array, "b f d"], mask: Bool[jax.Array, "b f"]
    ) -> Int[jax.Array, "b t"]:
        table = jnp.asarray(self.embedding.embedding)
        kernel, bias = self.head.weights(table.shape[1])
        project, step, state = self.decoder.stepper(encoded, mask)

        def body(
            carry: tuple[DecoderState, jax.Array, jax.Array], _: None
        ) -> tuple[tuple[DecoderState, jax.Array, jax.Array], jax.Array]:
            state, label, has_ended = carry
            state, (value, _attention, _gates) = step(state, project(table[label]))
            label = jnp.argmax(value @ kernel + bias, axis=-1).astype(jnp.int32)
            return (state, label, has_ended | (label == self.end)), jnp.where(has_ended, -1, label)

        initial = (state, start.astype(jnp.int32), jnp.zeros(len(start), bool))
        return jnp.swapaxes(jax.lax.scan(body, initial, length=t)[1], 0, 1)


class _Decoder(nn.Module):
    """Two recurrent cells with attention between them."""

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

    def __call__(
        self, embedded: Float[Array, "b t h"], encoded: Float[Array, "b f d"], mask: Bool[Array, "b f"]
    ) -> tuple[Float[jax.Array, "b t h"], Float[jax.Array, "b t f"]]:
        project, step, state = self.stepper(encoded, mask)
        _, (values, attention, gates) = jax.lax.scan(step, state, project(jnp.swapaxes(embedded, 0, 1)))
        for gate in gates or ():
            sow_preactivation(self, jnp.swapaxes(gate, 0, 1))
        return jnp.swapaxes(values, 0, 1), jnp.swapaxes(attention, 0, 1)

    def stepper(self, encoded: Float[Array, "b f d"], mask: Bool[Array, "b f"]) -> tuple[Project, Step, DecoderState]:
        """Return the projection of the previous labels, the rest of a step, and the initial state."""
        h, (b, s, d), dtype = self.units, encoded.shape, encoded.dtype
        first, second, keys = self.attending.weights(h + d), self.emitting.weights(h + d), self.keys(encoded)
        hybrid, keep_gates = self.hybrid, is_observed(self)

        def project(embedded: jax.Array) -> jax.Array:
            return embedded @ first["kernel"][:h] + first["bias"]

        def step(
            state: DecoderState, projected: jax.Array
        ) -> tuple[DecoderState, tuple[jax.Array, jax.Array, Gates | None]]:
            attending, emitting, context, attention = state
            attending, gates = self.attending.step(first, attending, projected + context @ first["kernel"][h:])
            attention = masked_softmax(hybrid_scores(hybrid, attending[0], keys, attention), mask)
            context = attend(attention, encoded)
            inputs = jnp.concatenate([attending[0], context], axis=-1)
            emitting, more = self.emitting.step(second, emitting, inputs @ second["kernel"] + second["bias"])
            all_gates = (gates, more) if keep_gates else None
            return (attending, emitting, context, attention), (emitting[0], attention, all_gates)

        zero = jnp.zeros((b, d), dtype), jnp.zeros((b, s), dtype)
        return project, step, (self.attending.zero(b, dtype), self.emitting.zero(b, dtype), *zero)


def _frames(inputs: Mapping[str, Array]) -> tuple[Float[jax.Array, "b f bins"], Int[jax.Array, " b"]]:
    frames, length = jnp.asarray(inputs["frames"]), jnp.asarray(inputs["length"])
    if frames.ndim != 3 or length.shape != frames.shape[:1]:
        raise ValueError(f"Speech needs frames (b, f, bins) and lengths (b,), got {frames.shape} and {length.shape}.")
    return frames, length


def _mask(length: Int[jax.Array, " b"], frames: int) -> Bool[jax.Array, "b f"]:
    return jnp.arange(frames) < length[:, None]


def _pool_pairs(
    value: Float[jax.Array, "b f d"], length: Int[jax.Array, " b"]
) -> tuple[Float[jax.Array, "b f2 d"], Int[jax.Array, " b"]]:
    """Take the maximum of two neighboring frames; an odd last frame is kept."""
    value = jnp.where(_mask(length, value.shape[1])[..., None], value, -jnp.inf)
    value = jnp.pad(value, ((0, 0), (0, value.shape[1] % 2), (0, 0)), constant_values=-jnp.inf)
    value, length = jnp.maximum(value[:, ::2], value[:, 1::2]), (length + 1) // 2
    return jnp.where(_mask(length, value.shape[1])[..., None], value, 0), length
