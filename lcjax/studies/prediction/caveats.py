"""What to know before believing a prediction: how it fared where nothing was fitted, and which assumptions fail."""

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Float

from lcjax.studies.prediction.record import Prediction

__all__ = ["caveats", "held_out_factor"]

Array = jax.Array | np.ndarray


def held_out_factor(log_error: Mapping[str, Float[Array, " s"]]) -> dict[str, float]:
    """Typical factor between predicted and measured error, the best method first.

        factor = exp(sqrt(mean(ln(predicted / measured)^2)))

    Args:
        log_error: `Prediction.held_out_log_error`.

    Returns:
        method -> factor, at least 1; inf where no test example was wrong, nan where nothing was held out.

    Examples:
        >>> factors = held_out_factor({"hypercube": np.log([2.0, 0.5]), "power_law": np.log([1.2, 1.2])})
        >>> {method: round(factor, 2) for method, factor in factors.items()}
        {'power_law': 1.2, 'hypercube': 2.0}
    """
    square = {method: np.square(np.asarray(miss, float)) for method, miss in log_error.items()}
    factor = {method: float(np.exp(np.sqrt(s.mean()))) if s.size else np.nan for method, s in square.items()}
    return dict(sorted(factor.items(), key=lambda pair: (np.isnan(pair[1]), pair[1])))


def caveats(prediction: Prediction, *, chance_error: float, target_error: float | None = None) -> list[str]:
    """Sentences a reader of the prediction must know; none where nothing speaks against it.

    Args:
        prediction: what `lcjax.predict_learning_curve` gives.
        chance_error: `Data.chance_error()`, of the best constant answer.
        target_error: what `size_for_target` was asked for.

    Returns:
        One sentence or two each: small data, training errors above 1 %, fits that did not converge, a dimension that
        no width of the bottleneck established or that the measured exponent contradicts by a factor of 1.5, and
        answers for the target that a measured test error contradicts by two standard errors.
    """
    found: list[str] = []
    validation, fitted = prediction.validation, np.asarray(prediction.fitted)
    size, error = np.asarray(validation.size), np.asarray(validation.error)
    small = size[fitted & (error > 0.5 * chance_error)]
    if small.size:
        found.append(
            f"At {', '.join(f'{n:,.0f}' for n in small)} examples the error is above half of what guessing gives "
            f"({chance_error:.1%}): the region of small data, where neither theory nor power law holds."
        )
    if validation.train_error is not None:
        worst = float(np.max(validation.train_error))
        if not worst <= 0.01:
            found.append(
                f"The training error reaches {worst:.1%}, which the theory assumes to be zero: train longer (--steps, "
                "--epochs) or read its curves with care."
            )
    found += [
        f"The fit of the radius by the law {law} did not converge for every seed and bootstrap draw."
        for law, converged in prediction.converged.items()
        if not bool(converged)
    ]
    if prediction.bottleneck is not None and not bool(prediction.bottleneck.estimate.established):
        found.append(
            "No width is shown to lose less than the margin: the dimension is the smallest width of best accuracy. "
            "More validation examples or a larger --margin decide."
        )
    dimension, exponent = int(prediction.dimension), float(prediction.exponent)
    implied = -1 / exponent if exponent else np.inf
    if not 1 / 1.5 <= implied / dimension <= 1.5:
        found.append(
            f"The fitted errors fall with exponent {exponent:.2f}, which the theory gives at dimension {implied:.1f}, "
            f"not at {dimension}: where the two disagree, trust the held-out sizes."
        )
    return found + (_contradicted(prediction, target_error) if target_error is not None else [])


def _contradicted(prediction: Prediction, target_error: float) -> list[str]:
    """Answers for the target at sizes that were measured to have more error."""
    measured = prediction.measured
    if measured is None or measured.standard_error is None:
        return []
    size = np.asarray(measured.size)
    above = np.asarray(measured.error) - 2 * np.asarray(measured.standard_error) > target_error
    if not above.any():
        return []
    last = int(np.flatnonzero(above)[-1])
    return [
        f"{method.replace('_', ' ').capitalize()} answers {float(answer.value):,.0f} examples for {target_error:.3g}, "
        f"but at {size[last]:,.0f} the measured test error is {float(np.asarray(measured.error)[last]):.3g}."
        for method, answer in prediction.size_for_target.items()
        if float(answer.value) <= size[last]
    ]
