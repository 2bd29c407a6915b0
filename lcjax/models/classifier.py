"""Base class of models that classify: features, then a linear head."""

import flax.linen as nn
import jax
from jaxtyping import Float

from lcjax.typing import Array

__all__ = ["Classifier"]


class Classifier(nn.Module):
    """A model with `features(inputs, train=False)` and a submodule `head`, which maps features to outputs."""

    def features(self, inputs: Float[Array, "b *shape"], *, train: bool = False) -> Float[Array, "b d"]:
        """Return the head's inputs, `(b, d)`."""
        raise NotImplementedError(f"{type(self).__name__} has no method `features`; define it.")

    def __call__(self, inputs: Float[Array, "b *shape"], *, train: bool = False) -> Float[jax.Array, "b c"]:
        """Return the head's outputs, `(b, classes)`."""
        outputs: jax.Array = self.head(self.features(inputs, train=train))
        return outputs
