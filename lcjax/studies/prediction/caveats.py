"""Caveats of a prediction: violated assumptions and contradicted answers, and typical errors at held-out sizes."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from lcjax.studies.prediction.record import Prediction
from lcjax.typing import Array

__all__ = ["caveats", "held_out_factor"]


def held_out_factor(log_error: Mapping[str, Float[Array, " u"]]) -> dict[str, float]:
    """Return the typical factor between predicted and measured error by method, in ascending order.

        factor = exp(sqrt(mean(ln(predicted / measured)^2)))

    A factor is at least 1; it is nan if no size was held out.

    Args:
        log_error: `log(predicted / measured)` at the held-out sizes by method: `HeldOut.log_error`.

    Examples:
        >>> factors = held_out_factor({"hypercube": np.log([2.0, 0.5]), "power_law": np.log([1.2, 1.2])})
        >>> {method: round(factor, 2) for method, factor in factors.items()}
        {'power_law': 1.2, 'hypercube': 2.0}
    """
    square = {method: np.square(np.asarray(errors, float)) for method, errors in log_error.items()}
    factor = {method: float(np.exp(np.sqrt(s.mean()))) if s.size else np.nan for method, s in square.items()}
    return dict(sorted(factor.items(), key=lambda pair: (np.isnan(pair[1]), pair[1])))


def caveats(prediction: Prediction, *, chance_error: float, target_error: float | None = None) -> list[str]:
    """Return the caveats of a prediction, one or two sentences each.

    There is a caveat for sizes in the small-data region and without a mistake, for errors that rise with the size, for
    training errors above 1 %, for a radius whose fit did not converge, for a dimension that no width establishes, that
    the features do not span, or that the fitted exponent contradicts by a factor of 1.5, and for an answer for the
    target that a measured test error contradicts by two standard errors.

    Args:
        prediction: the prediction, with its measured test errors if there are any.
        chance_error: error of the best constant answer, a fraction: `Data.chance_error()`.
        target_error: error for which the prediction answers a size, a fraction, or None.

    Returns:
        Sentences in plain text; an empty list if there is no caveat.

    Examples:
        >>> import jax, lcjax as lc
        >>> data = lc.load_data("digits")
        >>> recipe = lc.studies.mlp_recipe(data).with_budget(steps=50)
        >>> options = {"seeds": 1, "dimension": 2, "draws": 8, "laws": (lc.laws.hypercube,)}
        >>> prediction = lc.predict_learning_curve(jax.random.key(0), data, recipe, **options)
        >>> print(caveats(prediction, chance_error=data.chance_error())[0][:33])
        The training error reaches 16.2%,
    """
    sentences: list[str] = []
    validation, fitted = prediction.validation, np.asarray(prediction.fitted)
    size, error = np.asarray(validation.size), np.asarray(validation.error)
    small = size[fitted & (error > 0.5 * chance_error)]
    if small.size:
        sentences.append(
            f"At {', '.join(f'{n:,.0f}' for n in small)} examples the error is more than half of the chance error "
            f"({chance_error:.1%}): in this small-data region neither the theory nor a power law holds."
        )
    if (none := size[error == 0]).size and validation.test_count is not None:
        half = 0.5 / int(validation.test_count)
        sentences.append(
            f"No mistake was made at {', '.join(f'{n:,.0f}' for n in none)} examples. It counts as half a mistake, an "
            f"error of {half:.2%}, known only to a factor of about 5: smaller errors need more validation examples."
        )
    if error[-1] > 1.02 * error[0]:
        sentences.append(
            f"The error rises from {error[0]:.1%} at {size[0]:,.0f} examples to {error[-1]:.1%} at {size[-1]:,.0f}: "
            "check the data and the training before extrapolating it."
        )
    if validation.train_error is not None:
        worst = float(np.max(validation.train_error))
        if not worst <= 0.01:
            sentences.append(
                f"The training error reaches {worst:.1%}, but the theory assumes zero. Train longer (--steps, "
                "--epochs), or do not rely on its curves."
            )
    sentences += [
        f"The fit of the radius for the {name} law did not converge for every seed and bootstrap draw."
        for name, method in prediction.methods.items()
        if "radius" in method.parameters and not bool(method.converged)
    ]
    if prediction.bottleneck is not None and not bool(prediction.bottleneck.estimate.established):
        sentences.append(
            "No width is shown to lose less than the margin, so the dimension is the smallest width of best accuracy. "
            "Use more validation examples or a larger --margin."
        )
    if prediction.bottleneck is not None and int(prediction.dimension) < int(prediction.bottleneck.estimate.value):
        sentences.append(
            f"The features span fewer than {int(prediction.bottleneck.estimate.value)} directions, the measured "
            f"dimension; the theory uses {int(prediction.dimension)}."
        )
    dimension, exponent = int(prediction.dimension), prediction.exponent
    implied = -1 / exponent if exponent else np.inf
    if not 1 / 1.5 <= implied / dimension <= 1.5:
        sentences.append(
            f"The fitted errors fall with exponent {exponent:.2f}, which corresponds to dimension {implied:.1f} in the "
            f"theory, not {dimension}."
        )
    return sentences if target_error is None else sentences + _contradictions(prediction, target_error)


def _contradictions(prediction: Prediction, target_error: float) -> list[str]:
    """Return a caveat if the test error at the answer or a larger size is above the target by two standard errors."""
    measured, size_for_error = prediction.measured, prediction.answer.size_for_error
    if measured is None or measured.standard_error is None or size_for_error is None:
        return []
    size, error = np.asarray(measured.size), np.asarray(measured.error)
    above = np.flatnonzero(error - 2 * np.asarray(measured.standard_error) > target_error)
    answer = float(size_for_error.value)
    if not above.size or answer > size[above[-1]]:
        return []
    last = int(above[-1])
    return [
        f"The answer is that {answer:,.0f} examples reach an error of {target_error:.3g}, but the measured test error "
        f"at {size[last]:,.0f} examples is {float(error[last]):.3g}."
    ]
