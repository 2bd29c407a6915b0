"""Splits and normalization of the data of Sharma et al. (2019)."""

import dataclasses

import numpy as np
from jaxtyping import Int

from lcjax.data.examples import Data, Examples

__all__ = ["cut", "halve_test", "mean_image"]


def mean_image(data: Data) -> Data:
    """Subtract the mean training image, as Caffe does, and divide by the standard deviation of the result.

    Examples:
        >>> import lcjax as lc
        >>> mean_image(lc.load_data("digits")).offset.shape
        (8, 8, 1)
    """
    images = np.asarray(data.train.inputs, np.float32)
    offset = images.mean(axis=0)
    return dataclasses.replace(data, offset=offset, scale=1 / max(float((images - offset).std()), 1e-6))


def halve_test(data: Data, *, seed: int = 0) -> Data:
    """Train on all training and validation examples, and split the test set into validation and test (Table 2).

    The halves are random, because the paper does not publish its own.

    Raises:
        ValueError: there is no test set.

    Examples:
        >>> import lcjax as lc
        >>> halves = halve_test(lc.load_data("digits"))
        >>> [len(part.targets) for part in (halves.train, halves.validation, halves.test)]
        [1438, 179, 180]
    """
    if data.test is None:
        raise ValueError(f"{data.name} has no test set to split.")
    train = Examples(
        np.concatenate([np.asarray(data.train.inputs), np.asarray(data.validation.inputs)]),
        np.concatenate([np.asarray(data.train.targets), np.asarray(data.validation.targets)]),
    )
    order = np.random.default_rng(seed).permutation(len(data.test.targets))
    half = len(order) // 2
    validation, test = (_rows(data.test, np.sort(part)) for part in (order[:half], order[half:]))
    return dataclasses.replace(data, train=train, validation=validation, test=test)


def cut(data: Data, examples: int, *, seed: int = 0) -> Data:
    """Draw a random subset of the training examples, and at most a quarter as many for validation and test.

    Raises:
        ValueError: `examples` is not in [4, n].

    Examples:
        >>> import lcjax as lc
        >>> small = cut(lc.load_data("digits"), 400)
        >>> [len(part.targets) for part in (small.train, small.validation, small.test)]
        [400, 100, 100]
    """
    n = len(data.train.targets)
    if not 4 <= examples <= n:
        raise ValueError(f"examples must lie in [4, {n}], the training set, got {examples}.")
    generator = np.random.default_rng(seed)

    def draw(part: Examples, most: int) -> Examples:
        return _rows(part, np.sort(generator.permutation(len(part.targets))[:most]))

    test = None if data.test is None else draw(data.test, examples // 4)
    return dataclasses.replace(
        data, train=draw(data.train, examples), validation=draw(data.validation, examples // 4), test=test
    )


def _rows(examples: Examples, index: Int[np.ndarray, " m"]) -> Examples:
    return Examples(np.asarray(examples.inputs)[index], np.asarray(examples.targets)[index])
