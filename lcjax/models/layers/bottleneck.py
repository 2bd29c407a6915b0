"""A bottleneck of traced width before a model's head."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from lcjax.models.sowing import sow_preactivation
from lcjax.typing import Array

__all__ = ["Bottleneck", "Bottlenecked"]

Width = Int[Array, ""] | int


class Bottleneck(nn.Module):
    """Two linear layers, each followed by ReLU, D -> d' -> D (Bisla et al., 2021, section 3.1).

    The width d' is an argument: units of a layer of the largest width are masked, so that a sweep over widths is one
    program. The initialization is our choice. The first layer projects the features of the first batch onto their
    principal components, scaled to unit variance and shifted to be positive, and the second inverts this. Fine-tuning
    thus starts from the best linear code of each width, and no unit is dead; with He's initialization a third of the
    networks of width 1 to 3 stayed at chance. Units shared by two widths have equal initial weights.

    Attributes:
        largest: units of the widest code.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> features = jax.nn.relu(jax.random.normal(jax.random.key(1), (100, 5)))
        >>> (code, restored), _ = Bottleneck(5).init_with_output(jax.random.key(0), features, 5)
        >>> bool(jnp.allclose(restored, features, atol=1e-5))
        True
    """

    largest: int

    @nn.compact
    def __call__(
        self, features: Float[Array, "b d"], width: Width
    ) -> tuple[Float[jax.Array, "b largest"], Float[jax.Array, "b d"]]:
        """Return the code, zero beyond `width`, and the features restored from it.

        Raises:
            ValueError: the widest code has no unit or more units than there are features.
        """
        d = features.shape[1]
        if not 1 <= self.largest <= d:
            raise ValueError(
                f"A bottleneck over {d} features has at least 1 and at most {d} units, got {self.largest}."
            )

        def parameter(name: str, value: Callable[..., jax.Array]) -> Array:
            return self.param(name, lambda key: value(*_principal_code(features, self.largest)))

        is_active = jnp.arange(self.largest) < width
        down = parameter("down_kernel", lambda mean, down, shift, up: down)
        down_bias = parameter("down_bias", lambda mean, down, shift, up: shift - mean @ down)
        into_code = features @ down + down_bias
        code = jnp.where(is_active, nn.relu(into_code), 0)
        up = parameter("up_kernel", lambda mean, down, shift, up: up)
        up_bias = parameter("up_bias", lambda mean, down, shift, up: mean - jnp.where(is_active, shift, 0) @ up)
        into_features = code @ up + up_bias
        sow_preactivation(self, jnp.where(is_active, into_code, 0))
        sow_preactivation(self, into_features)
        return code, nn.relu(into_features)


def _principal_code(
    features: Float[Array, "b d"], k: int
) -> tuple[Float[jax.Array, " d"], Float[jax.Array, "d k"], Float[jax.Array, " k"], Float[jax.Array, "k d"]]:
    """Return the mean, projections of unit variance on k principal components, a positive shift, and the inverse."""
    mean = jnp.mean(features, axis=0)
    centred = features - mean
    components = jnp.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :k]
    spread = jnp.std(centred @ components, axis=0)
    spread = jnp.maximum(spread, 1e-3 * spread[0])  # directions without variance must not be amplified
    spread = jnp.where(spread > 0, spread, 1)
    down = components / spread
    return mean, down, 0.1 - jnp.min(centred @ down, axis=0), (components * spread).T


class Bottlenecked(nn.Module):
    """A model with a bottleneck before its head; its parameters are those of the model and of "bottleneck".

    Attributes:
        model: any module with `features` and a submodule `head`.
        largest: units of the widest code.

    Examples:
        >>> import jax, jax.numpy as jnp, lcjax as lc
        >>> model = Bottlenecked(lc.models.MLP((64,)), 8)
        >>> variables = model.init(jax.random.key(0), jnp.ones((20, 4)), bottleneck_width=2)
        >>> sorted(variables["params"])
        ['bottleneck', 'head', 'hidden_0']
        >>> model.apply(variables, jnp.ones((20, 4)), bottleneck_width=2, method="code").shape
        (20, 8)
    """

    model: nn.Module
    largest: int

    def setup(self) -> None:  # noqa: D102
        nn.share_scope(self, self.model)
        self.bottleneck = Bottleneck(self.largest)

    def code(
        self, inputs: Float[Array, "b *shape"], *, bottleneck_width: Width, train: bool = False
    ) -> Float[Array, "b largest"]:
        """Return the code, zero beyond the width, `(b, largest)`."""
        return self.bottleneck(self.model.features(inputs, train=train), bottleneck_width)[0]

    def features(
        self, inputs: Float[Array, "b *shape"], *, bottleneck_width: Width, train: bool = False
    ) -> Float[Array, "b d"]:
        """Return the head's inputs: the features restored from the code, `(b, d)`."""
        return self.bottleneck(self.model.features(inputs, train=train), bottleneck_width)[1]

    def __call__(
        self, inputs: Float[Array, "b *shape"], *, bottleneck_width: Width, train: bool = False
    ) -> Float[jax.Array, "b c"]:
        """Return the outputs of the model's head."""
        outputs: jax.Array = self.model.head(self.features(inputs, bottleneck_width=bottleneck_width, train=train))
        return outputs
