"""Observation of a network's pre-activations, layer by layer, without changing the network."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict
from jaxtyping import Num

from lcjax.models.interception import Method, override
from lcjax.models.layers.convolution import Conv
from lcjax.models.sowing import COLLECTION, sow_preactivation
from lcjax.typing import Array, ArrayTree

__all__ = ["CELLS", "LINEAR_LAYERS", "apply_with_preactivations"]

Path = tuple[str, ...]
Types = tuple[type[nn.Module], ...]

LINEAR_LAYERS: Types = (nn.Dense, nn.DenseGeneral, nn.Einsum, nn.Conv, nn.ConvLocal, nn.ConvTranspose, Conv)
CELLS: Types = (nn.SimpleCell, nn.LSTMCell, nn.OptimizedLSTMCell, nn.GRUCell, nn.MGUCell)
_NORMS = (nn.BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm, nn.RMSNorm, nn.WeightNorm, nn.SpectralNorm)


def apply_with_preactivations(
    model: nn.Module,
    variables: Mapping[str, Mapping[str, ArrayTree]],
    inputs: Num[Array, "b *shape"] | Mapping[str, Array],
    layers: Types = LINEAR_LAYERS,
    **options: Any,
) -> tuple[Any, Any]:
    """Apply any Linen module; return its outputs and the average `vc_penalty` of each layer's pre-activations.

    Pre-activations are the outputs of a linear layer, before normalization and activation; in a recurrent cell they are
    the inputs of its gates, from input and state together. The sum of the scalars is the data-dependent term of Sharma
    et al. (2019), Eq. (18), over all layers for D = 1, averaged over the examples instead of summed. Works under `jit`,
    `grad` and `vmap`, in training mode, with normalization and dropout.

    Args:
        model: any Linen module.
        variables: variables of the module, as for its `apply`.
        inputs: b examples, in one array or several by name.
        layers: types whose outputs are pre-activations. Recurrent cells of Flax (`CELLS`) are included always; a module
            with its own matrix products reports them by `sow_preactivation`.
        options: options of Linen's `apply` (`rngs`, `mutable`, `method`), and further arguments of the model.

    Returns:
        `(outputs, scalars)`, the scalars by the layer's path ("hidden_0", "rnn/cell"); with `mutable`
        `((outputs, scalars), updated)`.

    Raises:
        ValueError: the pre-activations of a layer with parameters are not observed; the message names it.

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
    collections = [] if mutable is False else [mutable] if isinstance(mutable, str) else mutable
    without: set[Path] = set()
    with nn.intercept_methods(_Interceptor(layers, without)):
        extended = True if collections is True else [*collections, COLLECTION]
        outputs, state = model.apply(variables, inputs, mutable=extended, **options)
    updated = dict(state)
    sown = flatten_dict(updated.pop(COLLECTION, {}))
    scalars = {path[:-1]: jnp.sum(value) for path, value in sown.items()}  # over the steps of a scan
    for path in flatten_dict(variables.get("params", {})):
        owner = path[:-1]
        if not any(owner[: len(known)] == known for known in (*scalars, *without)):
            raise ValueError(
                f"The pre-activations of {'/'.join(owner) or 'the model itself'} are not observed. Pass its type in "
                "`layers`, report them with `sow_preactivation`, or let its transformation carry the collection "
                f'"{COLLECTION}" (`variable_axes`).'
            )
    named = {"/".join(path): value for path, value in scalars.items()}
    return (outputs, named) if mutable is False else ((outputs, named), updated)


class _Interceptor:
    """Interceptor of all methods of all modules; Linen calls it in place of each method."""

    def __init__(self, layers: Types, without: set[Path]) -> None:
        self.layers, self.without = layers, without
        self.in_cell = False  # a cell's own linear layers compute parts of its pre-activations

    def __call__(
        self, method: Method, args: tuple[Any, ...], options: dict[str, Any], context: nn.module.InterceptorContext
    ) -> Any:
        module = context.module
        if context.method_name != "__call__":
            return method(*args, **options)
        if isinstance(module, nn.RNN):
            with override(module, variable_axes={**module.variable_axes, COLLECTION: 0}):
                return method(*args, **options)
        if isinstance(module, CELLS):
            return self._call_cell(method, args, options, module)
        if isinstance(module, (*_NORMS, nn.Embed)):  # parameters, but no pre-activation
            self.without.add(tuple(module.path))
        outputs = method(*args, **options)
        if isinstance(module, self.layers) and not self.in_cell:
            sow_preactivation(module, outputs)
        return outputs

    def _call_cell(self, method: Method, args: tuple[Any, ...], options: dict[str, Any], cell: nn.Module) -> Any:
        """Record the inputs of a cell's gates and, once, of its activation, which an LSTM applies to its memory too."""
        preactivations: list[jax.Array] = []

        def record(function: Callable[[jax.Array], jax.Array], *, once: bool) -> Callable[[jax.Array], jax.Array]:
            count = 0

            def apply(value: jax.Array) -> jax.Array:
                nonlocal count
                count += 1
                if not once or count == 1:
                    preactivations.append(value)
                return function(value)

            return apply

        functions = {
            name: record(getattr(cell, name), once=name == "activation_fn")
            for name in ("gate_fn", "activation_fn")
            if hasattr(cell, name)
        }
        outside, self.in_cell = self.in_cell, True
        try:
            with override(cell, **functions):
                outputs = method(*args, **options)
        finally:
            self.in_cell = outside
        for value in preactivations:
            sow_preactivation(cell, value)
        return outputs
