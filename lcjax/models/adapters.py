"""Adapters that make pairs of functions, Flax NNX modules and Equinox modules trainable as Linen modules."""

import inspect
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
from flax.traverse_util import flatten_dict, unflatten_dict

from lcjax.typing import ArrayTree, KeyArray, Variables

__all__ = ["EquinoxModel", "FunctionModel", "NnxModel", "adapter_for", "from_equinox", "from_functions", "from_nnx"]


def from_functions(
    init: Callable[[KeyArray, Any], ArrayTree], apply: Callable[[Any, Any], ArrayTree]
) -> "FunctionModel":
    """Make a model from a pair of functions.

    Args:
        init: `(key, inputs) -> params`, any pytree of arrays; a function at module level.
        apply: `(params, inputs) -> outputs`; a function at module level.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> model = from_functions(lambda key, x: [jnp.zeros((x.shape[1], 3))], lambda params, x: x @ params[0])
        >>> lc.models.parameter_count(model, jnp.ones((2, 5)))
        15
    """
    return FunctionModel(init, apply)


def from_nnx(module: Callable[..., Any], *arguments: Any, **options: Any) -> "NnxModel":
    """Make a model from a Flax NNX module, with its BatchNorm statistics and dropout.

    Args:
        module: the class, not an instance, because each seed initializes its own weights.
        arguments: arguments of the class.
        options: keyword arguments of the class, except `rngs`.

    Raises:
        ValueError: `module` is an instance.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> from flax import nnx
        >>> lc.models.parameter_count(from_nnx(nnx.Linear, 5, 3), jnp.ones((2, 5)))
        18
    """
    _refuse_instance("from_nnx", module)
    return NnxModel(module, arguments, tuple(sorted(options.items())))


def from_equinox(module: Callable[..., Any], *arguments: Any, **options: Any) -> "EquinoxModel":
    """Make a model from an Equinox module without state; it is applied to each example of a batch.

    Args:
        module: the class, not an instance, because each seed initializes its own weights.
        arguments: arguments of the class.
        options: keyword arguments of the class, except `key`.

    Raises:
        ValueError: `module` is an instance.

    Examples:
        >>> class Linear: ...  # in place of equinox.nn.Linear
        >>> from_equinox(Linear, 5, 3).arguments
        (5, 3)
    """
    _refuse_instance("from_equinox", module)
    return EquinoxModel(module, arguments, tuple(sorted(options.items())))


def adapter_for(model: object) -> str:
    """Name the adapter for a model that is not a Linen module, as an error message suggests it.

    Examples:
        >>> from flax import nnx
        >>> adapter_for(nnx.Linear(5, 3, rngs=nnx.Rngs(0)))
        'lcjax.models.from_nnx(Linear, ...)'
    """
    kind = model if isinstance(model, type) else type(model)
    for library, adapter in (("flax.nnx", "from_nnx"), ("equinox", "from_equinox")):
        if any(f"{base.__module__}.".startswith(f"{library}.") for base in kind.__mro__):
            return f"lcjax.models.{adapter}({kind.__name__}, ...)"
    return "lcjax.models.from_functions(init, apply)"


def _refuse_instance(adapter: str, module: object) -> None:
    if not inspect.isroutine(module) and not isinstance(module, type):
        name = type(module).__name__
        raise ValueError(
            f"{adapter} takes a class and its arguments, {adapter}({name}, ...), because each seed initializes its own "
            f"weights; got an instance of {name}."
        )


class _Adapted(nn.Module):
    """A model of another library; its parameters, any pytree, become nested dictionaries below "model"."""

    def create(self, key: KeyArray, inputs: ArrayTree) -> tuple[Variables, Variables]:
        """Initialize the parameters and the state."""
        raise NotImplementedError

    def run(
        self, params: Variables, state: Variables, inputs: ArrayTree, *, key: KeyArray | None, train: bool
    ) -> tuple[ArrayTree, Variables]:
        """Return the outputs and the new state."""
        raise NotImplementedError

    @nn.compact
    def __call__(self, inputs: ArrayTree, *, train: bool = False) -> ArrayTree:
        """Return the outputs of the model."""
        params = self.param("model", lambda key: self.create(key, inputs)[0])
        key = self.make_rng("dropout") if train and self.has_rng("dropout") else None
        _, shapes = jax.eval_shape(lambda: self.create(jax.random.key(0), inputs))
        if not shapes:
            return self.run(params, {}, inputs, key=key, train=train)[0]
        state = self.variable("batch_stats", "model", lambda: self.create(self.make_rng("params"), inputs)[1])
        outputs, new = self.run(params, state.value, inputs, key=key, train=train)
        if train and self.is_mutable_collection("batch_stats"):
            state.value = new
        return outputs


class FunctionModel(_Adapted):
    """A pair of functions as a Linen module; the fields are the arguments of `from_functions`."""

    initialize: Callable[[KeyArray, Any], ArrayTree]
    function: Callable[[Any, Any], ArrayTree]

    def create(self, key: KeyArray, inputs: ArrayTree) -> tuple[Variables, Variables]:  # noqa: D102
        return _to_nested(self.initialize(key, inputs)), {}

    def run(  # noqa: D102
        self, params: Variables, state: Variables, inputs: ArrayTree, *, key: KeyArray | None, train: bool
    ) -> tuple[ArrayTree, Variables]:
        shapes = jax.eval_shape(self.initialize, jax.random.key(0), inputs)
        return self.function(_from_nested(params, shapes), inputs), {}


class NnxModel(_Adapted):
    """A Flax NNX module as a Linen module; the fields are the arguments of `from_nnx`."""

    module: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: tuple[tuple[str, Any], ...]  # hashable, as a program is

    def create(self, key: KeyArray, inputs: ArrayTree) -> tuple[Variables, Variables]:  # noqa: D102
        return self._trees(self._build(key))

    def run(  # noqa: D102
        self, params: Variables, state: Variables, inputs: ArrayTree, *, key: KeyArray | None, train: bool
    ) -> tuple[ArrayTree, Variables]:
        from flax import nnx

        module = self._build(jax.random.key(0))  # its weights are replaced
        for kind, tree in ((nnx.Param, params), (nnx.BatchStat, state)):
            values = nnx.state(module, kind)
            pure: dict[Any, Any] = _from_nested(tree, nnx.to_pure_dict(values))  # type: ignore[assignment]
            nnx.replace_by_pure_dict(values, pure)
            nnx.update(module, values)
        (module.train if train else module.eval)()
        if key is not None:
            nnx.reseed(module, dropout=key)
        outputs: ArrayTree = module(inputs)
        return outputs, self._trees(module)[1]

    def _build(self, key: KeyArray) -> Any:
        from flax import nnx

        return self.module(*self.arguments, rngs=nnx.Rngs(params=key, dropout=key), **dict(self.options))

    def _trees(self, module: Any) -> tuple[Variables, Variables]:
        from flax import nnx

        params, state = (nnx.to_pure_dict(nnx.state(module, kind)) for kind in (nnx.Param, nnx.BatchStat))
        return _to_nested(params), _to_nested(state)


class EquinoxModel(_Adapted):
    """An Equinox module as a Linen module; the fields are the arguments of `from_equinox`."""

    module: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: tuple[tuple[str, Any], ...]  # hashable, as a program is

    def create(self, key: KeyArray, inputs: ArrayTree) -> tuple[Variables, Variables]:  # noqa: D102
        import equinox

        return _to_nested(equinox.filter(self._build(key), equinox.is_inexact_array)), {}

    def run(  # noqa: D102
        self, params: Variables, state: Variables, inputs: ArrayTree, *, key: KeyArray | None, train: bool
    ) -> tuple[ArrayTree, Variables]:
        import equinox

        weights, static = equinox.partition(self._build(jax.random.key(0)), equinox.is_inexact_array)
        module = equinox.nn.inference_mode(equinox.combine(_from_nested(params, weights), static), not train)
        if key is None or "key" not in inspect.signature(module.__call__).parameters:
            return jax.vmap(module)(inputs), {}
        keys = jax.random.split(key, len(inputs))
        return jax.vmap(lambda example, key: module(example, key=key))(inputs, keys), {}

    def _build(self, key: KeyArray) -> Any:
        return self.module(*self.arguments, key=key, **dict(self.options))


def _paths(tree: ArrayTree) -> list[tuple[str, ...]]:
    entries = [path or (jax.tree_util.DictKey("value"),) for path, _ in jax.tree.leaves_with_path(tree)]
    return [tuple(jax.tree_util.keystr((entry,), simple=True) for entry in path) for path in entries]


def _to_nested(tree: ArrayTree) -> Variables:
    """Convert a pytree to nested dictionaries, which checkpoints, masks and penalties read by path."""
    nested: Variables = unflatten_dict(dict(zip(_paths(tree), jax.tree.leaves(tree), strict=True)))
    return nested


def _from_nested(nested: Variables, like: ArrayTree) -> ArrayTree:
    """Convert nested dictionaries back to a pytree with the structure of `like`."""
    leaves = flatten_dict(nested)
    tree: ArrayTree = jax.tree.unflatten(jax.tree.structure(like), [leaves[path] for path in _paths(like)])
    return tree
