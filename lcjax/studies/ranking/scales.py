"""Scales of a ranking: shards, vocabularies, and the size of each domain."""

import dataclasses
from collections.abc import Mapping

from lcjax.training import Budget

__all__ = ["REPORTED", "SMOKE", "Extent", "Scale"]


@dataclasses.dataclass(frozen=True)
class Extent:
    """Size of one domain in a ranking.

    Attributes:
        most: largest number of examples in a shard: images, windows of characters or words, pairs, utterances.
        units: hidden units, one entry per model size.
        epochs: largest number of passes over a run's own shard; early stopping may end a run before.
        steps: smallest number of optimizer steps, for small shards.
        rates: number of learning rates to try, the first ones of a task.
    """

    most: int
    units: tuple[int, ...]
    epochs: float | int
    steps: int
    rates: int = 2

    def budget(self) -> Budget:
        """Return the budget of every run of the domain.

        Examples:
            >>> SMOKE.extents["images"].budget().patience
            5
        """
        return Budget(steps=self.steps, epochs=self.epochs, records=12, patience=5)


@dataclasses.dataclass(frozen=True)
class Scale:
    """Scale of a ranking.

    Attributes:
        name: name for folders and tables.
        shards: sizes of the shards as fractions of the largest one.
        words: size of the word vocabulary.
        pieces: size of the word-piece vocabulary.
        validation: largest number of validation and of test examples for text and speech.
        extents: size of each domain.
    """

    name: str
    shards: tuple[float, ...]
    words: int
    pieces: int
    validation: int
    extents: Mapping[str, Extent]


_SHARDS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
_SMALL = {
    "images": Extent(8000, units=(16, 64, 256), epochs=5, steps=500),
    "characters": Extent(1600, units=(16, 48), epochs=8, steps=200),
    "words": Extent(1600, units=(16, 48), epochs=3, steps=200),
    "translation": Extent(4000, units=(16, 48), epochs=6, steps=200),
    "speech": Extent(1900, units=(16, 48), epochs=8, steps=200),
}
_LARGE = {
    "images": Extent(32_000, units=(16, 64, 256), epochs=6, steps=1000),
    "characters": Extent(3200, units=(16, 48, 96), epochs=12, steps=1000),
    "words": Extent(6400, units=(16, 48, 96), epochs=4, steps=600, rates=1),
    "translation": Extent(8000, units=(16, 32, 64), epochs=8, steps=800),
    "speech": Extent(1900, units=(16, 32, 64), epochs=10, steps=1000),
}
SMOKE = Scale("smoke", _SHARDS, words=1000, pieces=1000, validation=200, extents=_SMALL)
REPORTED = Scale("reported", _SHARDS, words=1000, pieces=1000, validation=400, extents=_LARGE)
