"""A bottleneck of traced width before a model's head."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from lcjax.models.sowing import sow_preactivation

__all__ = ["Bottleneck", "Bottlenecked"]

Array = jax.Array | np.ndarray
Width = Int[Array, ""] | int


class Bottleneck(nn.Module):
    """Two linear layers, each followed by ReLU, D -> d' -> D (Bisla et al., 2021, section 3.1).

    The width d' is an argument: units of a layer of the largest width are masked, so that a sweep of widths is one
    program. The initialization is our choice: the first layer projects on the principal components of the features that
    it is initialized on, scaled to unit variance and shifted to be positive, the second undoes this, so that
    fine-tuning starts from the best linear code of each width and no unit is dead. (From He's initialization a third of
    the nets of width 1 to 3 stayed at chance.) Units that two widths share start equal.

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
        """The code, zero beyond `width`, and the features restored from it."""
        d = features.shape[1]
        if not 1 <= self.largest <= d:
            raise ValueError(f"The widest bottleneck must lie in [1, {d}], the features before it, got {self.largest}.")

        def parameter(name: str, value: Callable[..., jax.Array]) -> jax.Array:
            return self.param(name, lambda key: value(*_principal_code(features, self.largest)))

        shown = jnp.arange(self.largest) < width
        down = parameter("down_kernel", lambda mean, down, shift, up: down)
        down_bias = parameter("down_bias", lambda mean, down, shift, up: shift - mean @ down)
        into_code = features @ down + down_bias
        code = jnp.where(shown, nn.relu(into_code), 0)
        up = parameter("up_kernel", lambda mean, down, shift, up: up)
        up_bias = parameter("up_bias", lambda mean, down, shift, up: mean - jnp.where(shown, shift, 0) @ up)
        into_features = code @ up + up_bias
        sow_preactivation(self, jnp.where(shown, into_code, 0))
        sow_preactivation(self, into_features)
        return code, nn.relu(into_features)


def _principal_code(
    features: Float[Array, "b d"], k: int
) -> tuple[Float[jax.Array, " d"], Float[jax.Array, "d k"], Float[jax.Array, " k"], Float[jax.Array, "k d"]]:
    """Mean, projections of unit variance on k principal components, shift that makes them positive, the way back."""
    mean = jnp.mean(features, axis=0)
    centred = features - mean
    components = jnp.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :k]
    spread = jnp.std(centred @ components, axis=0)
    spread = jnp.maximum(spread, 1e-3 * spread[0])  # directions without variance must not be blown up
    spread = jnp.where(spread > 0, spread, 1)
    down = components / spread
    return mean, down, 0.1 - jnp.min(centred @ down, axis=0), (components * spread).T


class Bottlenecked(nn.Module):
    """A model with a bottleneck before its head; its parameters are the model's and those of "bottleneck".

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
        """The narrow features, zero beyond the width, `(b, largest)`."""
        return self.bottleneck(self.model.features(inputs, train=train), bottleneck_width)[0]

    def features(
        self, inputs: Float[Array, "b *shape"], *, bottleneck_width: Width, train: bool = False
    ) -> Float[Array, "b d"]:
        """What the head sees: the features restored from the code, `(b, d)`."""
        return self.bottleneck(self.model.features(inputs, train=train), bottleneck_width)[1]

    def __call__(
        self, inputs: Float[Array, "b *shape"], *, bottleneck_width: Width, train: bool = False
    ) -> Float[jax.Array, "b c"]:
        """Outputs of the model's head."""
        return self.model.head(self.features(inputs, bottleneck_width=bottleneck_width, train=train))
