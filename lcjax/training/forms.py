"""How the runs of a program are executed: side by side or in turn, and what a convolution is made of."""

import dataclasses
import heapq
from collections.abc import Sequence
from typing import Any

import jax

from lcjax.training.threads import cores

__all__ = ["Form", "choose_form"]

WIDEST = 64
CACHE_BYTES = 2**23  # parameters of a vectorized step should stay in a processor's cache
LARGE_KERNEL = 50_000  # weights of a convolution from which XLA's own is faster on CPU: Caffe's quick net, not LeNet
MOST_STEPS = 16  # at once; each has activations of its own
KINDS = ("vmap", "map", "step")


@dataclasses.dataclass(frozen=True)
class Form:
    """An execution form, written "vmap:8", "map:4/plain", "step:1/plain".

    Attributes:
        kind: "vmap" makes one vectorized step of all slots, "map" the steps of one slot after the other in one program,
            "step" is a program of one step called for each slot, as many slots at once as there are processors: XLA
            compiles convolutions well for CPU outside of loops only, and each keeps one processor busy.
        width: slots of each device.
        plain: whether convolutions are XLA's own; banded products (`banded_convolution`) otherwise.
    """

    kind: str
    width: int
    plain: bool = False

    @classmethod
    def parse(cls, text: str) -> "Form":
        """The form that is written so.

        Raises:
            ValueError: nothing is written so.

        Examples:
            >>> Form.parse("map:4/plain")
            Form(kind='map', width=4, plain=True)
        """
        rest, slash, convolution = text.partition("/")
        kind, _, width = rest.partition(":")
        if kind not in KINDS or not width.isdecimal() or int(width) == 0 or (slash and convolution != "plain"):
            raise ValueError(
                f'form must be "vmap:WIDTH", "map:WIDTH" or "step:WIDTH", and may end with "/plain"; got {text!r}.'
            )
        return cls(kind, int(width), bool(slash))


def choose_form(params: Any, budgets: Sequence[int], devices: int = 1) -> str:
    """The execution form for runs of these budgets, and its width.

    On CPU small convolutional nets train in turn, as one step fills the processors, and large ones by XLA's own
    convolutions in programs of one step, one net on each processor; other nets are vectorized, as many as the cache
    holds and in the width that leaves the fewest slots idle. Accelerators always vectorize. The width is that of each
    device.

    Args:
        params: the model's parameters, or their shapes.
        budgets: steps of each run.
        devices: among how many the runs are shared out, in all processes together.
    """
    widest = min(-(-len(budgets) // devices), WIDEST)
    if jax.default_backend() == "cpu":
        leaves = jax.tree.leaves(params)
        if any(leaf.ndim > 2 for leaf in leaves):
            if max(leaf.size for leaf in leaves if leaf.ndim > 2) < LARGE_KERNEL:
                return "map:1"
            return f"step:{min(widest, cores(), MOST_STEPS) if jax.local_device_count() == 1 else 1}/plain"
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
        widest = min(widest, max(4, CACHE_BYTES // size))

    def work(width: int) -> int:
        ends = [0] * width * devices
        for budget in sorted(budgets, reverse=True):
            heapq.heapreplace(ends, ends[0] + budget)
        return max(ends) * (width + 4)  # a step costs something whatever the width

    return f"vmap:{min(range(1, widest + 1), key=work)}"
