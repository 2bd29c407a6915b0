"""Number of test examples needed to show that a target error is met."""

import math

__all__ = ["minimum_test_examples"]

_RARE = 1e-4  # below it the number is inversely proportional to the error, to 0.1 %: mistakes are Poisson variables


def minimum_test_examples(error: float, *, margin: float = 0.1, level: float = 0.05, power: float = 0.8) -> int:
    """Return the number of test examples needed to show, with probability `power`, that a target error is met.

    A model whose error is below the target by the fraction `margin` is tested by the exact one-sided binomial test: its
    number of mistakes must be so small that a model at the target would make that few with probability at most `level`.
    The result is the smallest number of examples, to 0.1 %, from which on the power of the test is at least `power`.

    Args:
        error: target, the share of examples that are misclassified, in (0, 1).
        margin: fraction by which the model's error is below the target, in (0, 1).
        level: level of the test, in (0, 0.5].
        power: probability that the test rejects an error at the target, in [0.5, 1).

    Raises:
        ValueError: an argument is outside its range.

    Examples:
        >>> minimum_test_examples(0.05), minimum_test_examples(0.05, margin=0.5)
        (11583, 434)
    """
    for name, value, low, high in (
        ("error", error, 0, 1),
        ("margin", margin, 0, 1),
        ("level", level, 0, 0.5000001),
        ("power", power, 0.4999999, 1),
    ):
        if not low < value < high:
            raise ValueError(f"{name} must lie in ({low:g}, {high:g}), got {value}.")
    if error < _RARE:
        rare = minimum_test_examples(_RARE, margin=margin, level=level, power=power)
        return math.ceil(rare * (_RARE / error))
    from scipy.special import bdtr, bdtrik, ndtri  # binomial distribution: probabilities and quantiles

    lower = (1 - margin) * error

    def is_enough(count: int) -> bool:
        most = math.floor(float(bdtrik(level, count, error))) + 1  # largest number of mistakes that passes
        while most >= 0 and float(bdtr(most, count, error)) > level:
            most -= 1
        return bool(most >= 0 and float(bdtr(most, count, lower)) >= power)

    spread = ndtri(1 - level) * math.sqrt(error * (1 - error)) + ndtri(power) * math.sqrt(lower * (1 - lower))
    count = max(1, math.ceil(0.8 * (spread / (error - lower)) ** 2))
    # The power is not monotone in the number of examples, so the following numbers must be enough, too.
    step = max(1, count // 1000)
    run = max(2, math.ceil(3 / (min(error, 1 - error) * step)))
    good = 0
    while good < run:
        good = good + 1 if is_enough(count) else 0
        count += step
    return int(count - step * run)
