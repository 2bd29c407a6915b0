"""How the runs of a program are executed: side by side or in turn, and what a convolution is made of."""

import dataclasses
import heapq
import re
from collections.abc import Sequence
from typing import Any

import jax

from lcjax.threads import cores

__all__ = ["Form", "choose_form", "plausible_forms", "rounds_of"]

WIDEST = 64
WIDEST_ON_CPU = 16  # of each thread
CACHE_BYTES = 3 * 2**18  # parameters of a vectorized step: with the rest, what a processor's own cache holds
LARGE_KERNEL = 50_000  # weights of a convolution from which XLA's own is faster on CPU: Caffe's quick net, not LeNet
MOST_THREADS = 16  # each has activations of its own
RECURRENT = "recurrent_kernel"  # what `lcjax.models.layers.recurrent` calls the weights of a step
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

    On CPU convolutional and recurrent nets train in turn, one on each processor, those with large convolutions by XLA's
    own; other nets are vectorized on each processor, as many as its cache holds and in the width that leaves the fewest
    slots idle. Accelerators always vectorize. The width is that of each device.

    Args:
        params: the model's parameters, or their shapes.
        budgets: steps of each run.
        devices: among how many the runs are shared out, in all processes together.
    """
    convolutions = _convolutions(params)
    if jax.default_backend() == "cpu" and (convolutions or _recurrent(params)):
        threads = _threads(budgets, devices)
        return _written("map", threads, threads, max(convolutions, default=0) >= LARGE_KERNEL)
    return _vectorized(params, budgets, devices)


def _vectorized(params: Any, budgets: Sequence[int], devices: int = 1) -> str:
    """The form of one vectorized step on each processor or accelerator."""
    widest, threads = min(-(-len(budgets) // devices), WIDEST), 1
    if jax.default_backend() == "cpu":
        threads = _threads(budgets, devices)
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))
        widest = min(-(-widest // threads), WIDEST_ON_CPU, max(4, CACHE_BYTES // size))

    def work(width: int) -> int:
        return rounds_of(budgets, width * threads * devices) * (width + 4)  # a step costs something whatever the width

    return _written("vmap", threads * min(range(1, widest + 1), key=work), threads)


def _threads(budgets: Sequence[int], devices: int) -> int:
    return min(-(-len(budgets) // devices), cores(), MOST_THREADS) if devices == 1 else 1


def _written(kind: str, width: int, threads: int, plain: bool = False) -> str:
    return f"{kind}:{width}" + (f"@{threads}" if threads > 1 else "") + ("/plain" if plain else "")


def _convolutions(params: Any) -> list[int]:
    """Weights of each convolution."""
    return [leaf.size for path, leaf in jax.tree.leaves_with_path(params) if leaf.ndim > 2 and not _is_recurrent(path)]


def _recurrent(params: Any) -> bool:
    return any(_is_recurrent(path) for path, _ in jax.tree.leaves_with_path(params))


def _is_recurrent(path: Sequence[Any]) -> bool:
    return bool(path) and getattr(path[-1], "key", None) == RECURRENT


def plausible_forms(params: Any, budgets: Sequence[int]) -> tuple[str, ...]:
    """Forms among which a measurement on one device may decide, that of `choose_form` first.

    Convolutional nets on CPU: in turn or two side by side on each processor, in one program or a program of one step,
    and for small convolutions as banded products or as XLA's own (large ones are XLA's own in any case, and not
    vectorized). Recurrent nets without convolutions on CPU: in turn or vectorized. Other nets on CPU: as many slots on
    each processor as the rule says, half and twice as many. Accelerators: as wide as the rule says and half as wide,
    convolutions of both kinds.

    Args:
        params: the model's parameters, or their shapes.
        budgets: steps of each run.
    """
    first = choose_form(params, budgets)
    how = Form.parse(first)
    convolutional = bool(_convolutions(params))
    if jax.default_backend() != "cpu":
        kinds = (False, True) if convolutional else (False,)
        found = [_written("vmap", max(1, how.width // share), 1, plain) for share in (1, 2) for plain in kinds]
    elif convolutional:
        found = [_written("step", how.width, 1, True)]
        if not how.plain:
            found.append(_written("map", how.width, how.threads, True))
            if 2 * how.width <= len(budgets):
                found.append(_written("vmap", 2 * how.width, how.threads))
    elif _recurrent(params):
        found = [_vectorized(params, budgets)] if len(budgets) > how.width else []
    else:
        each, most = how.width // how.threads, -(-len(budgets) // how.threads)
        widths = [width for width in (each // 2, 2 * each) if 1 <= width <= most]
        found = [_written("vmap", width * how.threads, how.threads) for width in widths]
    return tuple(dict.fromkeys([first, *found]))


def rounds_of(budgets: Sequence[int], slots: int) -> int:
    """Steps of the slot that has the most to do, where each run in turn, the longest first, takes the next free slot.

    Examples:
        >>> rounds_of([100, 10, 10], 2)
        100
    """
    ends = [0] * slots
    for budget in sorted(budgets, reverse=True):
        heapq.heapreplace(ends, ends[0] + budget)
    return max(ends)
