"""What goes into the activations of a net, layer by layer, without any change to the net."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jaxtyping import Num

from lcjax.models.layers.convolution import Conv
from lcjax.models.sowing import COLLECTION, sow_preactivation

__all__ = ["CELLS", "LINEAR_LAYERS", "apply_with_preactivations"]

Array = jax.Array | np.ndarray
Path = tuple[str, ...]

LINEAR_LAYERS: tuple[type[nn.Module], ...] = (
    nn.Dense,
    nn.DenseGeneral,
    nn.Einsum,
    nn.Conv,
    nn.ConvLocal,
    nn.ConvTranspose,
    Conv,
)
CELLS: tuple[type[nn.Module], ...] = (nn.SimpleCell, nn.LSTMCell, nn.OptimizedLSTMCell, nn.GRUCell, nn.MGUCell)
_WITHOUT = (  # parameters, but nothing that an activation would act on
    nn.BatchNorm,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.InstanceNorm,
    nn.RMSNorm,
    nn.WeightNorm,
    nn.SpectralNorm,
    nn.Embed,
)


def apply_with_preactivations(
    model: nn.Module,
    variables: Any,
    inputs: Num[Array, "b *shape"] | Mapping[str, Any],
    layers: tuple[type[nn.Module], ...] = LINEAR_LAYERS,
    **options: Any,
) -> Any:
    """Apply any Linen module; give its outputs and one scalar a layer: `vc_penalty` of its pre-activations, averaged.

    A pre-activation is what a linear layer gives, before normalization and activation; in a recurrent cell it is what
    goes into its gates, from input and state together. The sum of the scalars is Eq. (18)'s data-dependent term of
    Sharma et al. over all layers for D = 1, as a mean over the examples: times their number it is the paper's sum. It
    works under `jit`, `grad` and `vmap`, in training mode, with normalization and dropout.

    Args:
        model: any Linen module.
        variables: what its `apply` takes.
        inputs: b examples, in one array or several by name.
        layers: types whose output is a pre-activation. Recurrent cells of Flax (`CELLS`) are known beside them; a
            module that multiplies by itself says what it has got by `sow_preactivation`.
        options: of Linen's `apply` (`rngs`, `mutable`, `method`), and further arguments of the model.

    Returns:
        `(outputs, scalars)`, the scalars by the layer's path ("hidden_0", "rnn/cell"); with `mutable` it is
        `((outputs, scalars), updated)`.

    Raises:
        ValueError: a layer has parameters and its pre-activations are not seen; it is named.

    Examples:
        >>> import jax, jax.numpy as jnp, lcjax as lc
        >>> model = lc.models.MLP((8,), 3)
        >>> variables = model.init(jax.random.key(0), jnp.ones((2, 4)))
        >>> outputs, scalars = apply_with_preactivations(model, variables, jnp.ones((2, 4)))
        >>> sorted(scalars)
        ['head', 'hidden_0']
        >>> print(jnp.allclose(scalars["head"], jnp.mean(jnp.sum(outputs**2, axis=1)) / 2))
        True
    """
    mutable = options.pop("mutable", False)
    asked = [] if mutable is False else [mutable] if isinstance(mutable, str) else mutable
    without: set[Path] = set()
    with nn.intercept_methods(_Interceptor(layers, without)):
        outputs, updated = model.apply(
            variables, inputs, mutable=True if asked is True else [*asked, COLLECTION], **options
        )
    updated = dict(updated)
    scalars = {
        path[:-1]: jnp.sum(value)  # over the steps of a scan
        for path, value in flatten_dict(updated.pop(COLLECTION, {})).items()
    }
    for path in flatten_dict(variables.get("params", {})):
        owner = path[:-1]
        if not any(owner[: len(known)] == known for known in (*scalars, *without)):
            raise ValueError(
                f"The pre-activations of {'/'.join(owner) or 'the model itself'} are not seen: give its type in "
                "`layers`, sow them with `sow_preactivation`, or let its transformation carry the collection "
                f'"{COLLECTION}" (`variable_axes`).'
            )
    named = {"/".join(path): value for path, value in scalars.items()}
    return (outputs, named) if mutable is False else ((outputs, named), updated)


class _Interceptor:
    """Called by Linen around every method of every module."""

    def __init__(self, layers: tuple[type[nn.Module], ...], without: set[Path]) -> None:
        self.layers, self.without = layers, without
        self.in_cell = False  # a cell's own linear layers give parts of what goes into its gates

    def __call__(
        self,
        next_fun: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: nn.module.InterceptorContext,
    ) -> Any:
        module = context.module
        if context.method_name != "__call__":
            return next_fun(*args, **kwargs)
        if isinstance(module, nn.RNN):
            with _replaced(module, variable_axes={**module.variable_axes, COLLECTION: 0}):
                return next_fun(*args, **kwargs)
        if isinstance(module, CELLS):
            return self._cell(next_fun, args, kwargs, module)
        if isinstance(module, _WITHOUT):
            self.without.add(tuple(module.path))
        outputs = next_fun(*args, **kwargs)
        if isinstance(module, self.layers) and not self.in_cell:
            sow_preactivation(module, outputs)
        return outputs

    def _cell(self, next_fun: Callable[..., Any], args: Any, kwargs: dict[str, Any], cell: Any) -> Any:
        """A cell's gates and, once, its activation, which an LSTM applies to its memory too."""
        seen: list[jax.Array] = []

        def seeing(function: Callable[..., Any], *, once: bool) -> Callable[..., Any]:
            count = 0

            def apply(value: jax.Array) -> Any:
                nonlocal count
                count += 1
                if not once or count == 1:
                    seen.append(value)
                return function(value)

            return apply

        functions = {
            name: seeing(getattr(cell, name), once=name == "activation_fn")
            for name in ("gate_fn", "activation_fn")
            if hasattr(cell, name)
        }
        outside, self.in_cell = self.in_cell, True
        try:
            with _replaced(cell, **functions):
                outputs = next_fun(*args, **kwargs)
        finally:
            self.in_cell = outside
        for value in seen:
            sow_preactivation(cell, value)
        return outputs


@contextmanager
def _replaced(module: nn.Module, **attributes: Any) -> Iterator[None]:
    """A bound module with other attributes; its parameters stay where they are."""
    before = {name: getattr(module, name) for name in attributes}
    for name, value in attributes.items():
        object.__setattr__(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            object.__setattr__(module, name, value)
