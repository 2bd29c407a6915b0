"""Execution of the runs of a program: vectorized or in turn, and the number of slots and threads."""

import dataclasses
import re
from typing import Literal, TypeAlias

__all__ = ["Execution"]

Mode: TypeAlias = Literal["vmap", "map", "step"]

_NUMBER = "[1-9][0-9]*"
_PATTERN = re.compile(rf"(vmap|map|step):({_NUMBER})(?:@({_NUMBER}))?(/plain)?")


@dataclasses.dataclass(frozen=True)
class Execution:
    """Concurrent execution of the runs of one program.

    A run occupies a slot until it ends; the slots of a device form a chunk that advances together.

    Attributes:
        mode: "vmap" makes one vectorized step of all slots; "map" makes the steps of one slot after the other within
            one program; "step" calls a program of a single step for each slot, with as many concurrent slots as there
            are processors. XLA compiles convolutions well for CPU only outside of loops, as "step" does, and each call
            keeps one processor busy.
        width: slots of each device.
        threads: equal parts of a chunk that run concurrently on CPU, a divisor of `width`; 1 in mode "step".
        plain: use XLA's own convolutions instead of banded products (`banded_convolution`).

    Raises:
        ValueError: the mode is unknown, or `width` or `threads` is out of range.

    Examples:
        >>> str(Execution("vmap", 8, threads=2)), Execution.parse("map:4/plain")
        ('vmap:8@2', Execution(mode='map', width=4, threads=1, plain=True))
    """

    mode: Mode
    width: int
    threads: int = 1
    plain: bool = False

    def __post_init__(self) -> None:
        if self.mode not in ("vmap", "map", "step"):
            raise ValueError(f'The mode of an execution must be "vmap", "map" or "step", got {self.mode!r}.')
        if self.width < 1 or self.threads < 1 or self.width % self.threads:
            raise ValueError(
                f"The threads of an execution must divide its width, both at least 1, got width={self.width} and "
                f"threads={self.threads}."
            )
        if self.mode == "step" and self.threads > 1:
            raise ValueError(f'Mode "step" takes no threads, got threads={self.threads}: use "map" or "vmap".')

    @classmethod
    def parse(cls, text: str) -> "Execution":
        """Read an execution as the command line spells it: MODE:WIDTH[@THREADS][/plain].

        Raises:
            ValueError: the text is not of this form.

        Examples:
            >>> Execution.parse("vmap:8@2")
            Execution(mode='vmap', width=8, threads=2, plain=False)
        """
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise ValueError(
                'An execution is spelled "vmap:WIDTH", "map:WIDTH" or "step:WIDTH", optionally with "@THREADS" and '
                f'"/plain" appended, got {text!r}.'
            )
        mode, width, threads, plain = match.groups()
        return cls(mode, int(width), int(threads or 1), plain is not None)  # type: ignore[arg-type]  # by the pattern

    def __str__(self) -> str:
        threads = f"@{self.threads}" if self.threads > 1 else ""
        return f"{self.mode}:{self.width}{threads}" + ("/plain" if self.plain else "")
