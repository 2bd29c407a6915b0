"""Temporary changes to the attributes of Linen modules."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import flax.linen as nn

__all__ = ["Method", "override", "override_calls"]

Method = Callable[..., Any]  # a method of any module


@contextmanager
def override(module: nn.Module, **attributes: Any) -> Iterator[None]:
    """Change attributes of a bound module within the context; its parameters keep their paths."""
    before = {name: getattr(module, name) for name in attributes}
    for name, value in attributes.items():
        object.__setattr__(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            object.__setattr__(module, name, value)


@contextmanager
def override_calls(kind: type[nn.Module], **attributes: Any) -> Iterator[None]:
    """Change attributes of all modules of a type while they are called within the context."""

    def interceptor(
        method: Method, args: tuple[Any, ...], options: dict[str, Any], context: nn.module.InterceptorContext
    ) -> Any:
        if not isinstance(context.module, kind) or context.method_name != "__call__":
            return method(*args, **options)
        with override(context.module, **attributes):
            return method(*args, **options)

    with nn.intercept_methods(interceptor):
        yield
