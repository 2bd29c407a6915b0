"""How the runs of a program are executed: side by side or in turn, and what a convolution is made of."""

import dataclasses
import heapq
import re
from collections.abc import Sequence
from typing import Any

import jax

from lcjax.training.threads import cores

__all__ = ["Form", "choose_form"]

WIDEST = 64
WIDEST_ON_CPU = 16  # of each thread
CACHE_BYTES = 3 * 2**18  # parameters of a vectorized step: with the rest, what a processor's own cache holds
LARGE_KERNEL = 50_000  # weights of a convolution from which XLA's own is faster on CPU: Caffe's quick net, not LeNet
MOST_THREADS = 16  # each has activations of its own
_NUMBER = "[1-9][0-9]*"
_WRITTEN = re.compile(rf"(?P<kind>vmap|map|step):(?P<width>{_NUMBER})(@(?P<threads>{_NUMBER}))?(?P<plain>/plain)?")


@dataclasses.dataclass(frozen=True)
class Form:
    """An execution form, written "vmap:8", "vmap:8@2", "map:4/plain", "step:1/plain".

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
    threads: int = 1

    @classmethod
    def parse(cls, text: str) -> "Form":
        """The form that is written so.

        Raises:
            ValueError: nothing is written so.

        Examples:
            >>> Form.parse("map:4/plain")
            Form(kind='map', width=4, plain=True, threads=1)
        """
        found = _WRITTEN.fullmatch(text)
        width, threads = (int(found["width"]), int(found["threads"] or 1)) if found else (1, 2)
        if found is None or width % threads or (found["kind"] == "step" and threads > 1):
            raise ValueError(
                'form must be "vmap:WIDTH", "map:WIDTH" or "step:WIDTH"; the first two may be followed by "@THREADS", '
                f'a divisor of the width, and all by "/plain"; got {text!r}.'
            )
        return cls(found["kind"], width, found["plain"] is not None, threads)


def choose_form(params: Any, budgets: Sequence[int], devices: int = 1) -> str:
    """The execution form for runs of these budgets, and its width.

    On CPU small convolutional nets train in turn, as one step fills the processors, and large ones by XLA's own
    convolutions in programs of one step, one net on each processor; other nets are vectorized on each processor, as
    many as its cache holds and in the width that leaves the fewest slots idle. Accelerators always vectorize. The width
    is that of each device.

    Args:
        params: the model's parameters, or their shapes.
        budgets: steps of each run.
        devices: among how many the runs are shared out, in all processes together.
    """
    widest, threads = min(-(-len(budgets) // devices), WIDEST), 1
    if jax.default_backend() == "cpu":
        threads = min(widest, cores(), MOST_THREADS) if devices == 1 else 1
        leaves = jax.tree.leaves(params)
        if any(leaf.ndim > 2 for leaf in leaves):
            small = max(leaf.size for leaf in leaves if leaf.ndim > 2) < LARGE_KERNEL
            return (f"map:{threads}@{threads}" if threads > 1 else "map:1") + ("" if small else "/plain")
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
        widest = min(-(-widest // threads), WIDEST_ON_CPU, max(4, CACHE_BYTES // size))

    def work(width: int) -> int:
        ends = [0] * width * threads * devices
        for budget in sorted(budgets, reverse=True):
            heapq.heapreplace(ends, ends[0] + budget)
        return max(ends) * (width + 4)  # a step costs something whatever the width

    best = threads * min(range(1, widest + 1), key=work)
    return f"vmap:{best}@{threads}" if threads > 1 else f"vmap:{best}"
