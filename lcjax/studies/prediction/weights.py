"""Weights of methods in the answer: prior weights, updated by back-tests inside the fitted sizes."""

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.special

from lcjax.studies.prediction.discrepancy import EXACT, PRIOR, Predictive, residual_noise
from lcjax.studies.prediction.methods.points import Fit, Points, Used

__all__ = ["FORECAST_PRIOR", "SHRINKAGE", "method_weights", "prior_weights"]

# Learned on the tuning half of LCDB 1.1 (benchmarks.prediction_prior): stacking weight of the forecast beside a power
# law and the last value, which has none, and the power of the back-test densities.
FORECAST_PRIOR = 0.9
SHRINKAGE = 0.25


def prior_weights(names: Sequence[str]) -> dict[str, float]:
    """Return the prior weights of methods: the power law's share is divided among it and the theory.

    Examples:
        >>> prior_weights(["hypercube", "power_law", "forecast"])
        {'hypercube': 0.05, 'power_law': 0.05, 'forecast': 0.9}
    """
    others = [name for name in names if name != "forecast"]
    share = (1 - FORECAST_PRIOR) / len(others) if len(others) < len(names) else 1 / len(others)
    return {name: FORECAST_PRIOR if name == "forecast" else round(share, 12) for name in names}


def method_weights(
    fits: Sequence[Mapping[str, Fit]], cuts: Sequence[Used], used: Used, points: Points, columns: np.ndarray
) -> dict[str, float]:
    """Return `prior * exp(shrinkage * sum_j log density_j)`, normalized over methods.

    The density of cut j is that of the measured error at the largest fitted size, which the cut leaves out, as the
    method predicts it from the smaller ones with the prior discrepancy.

    Args:
        fits: methods fitted to each cut.
        cuts: selections of sizes of these fits.
        used: sizes of the fits to weigh.
        points: measured errors.
        columns: places of the sizes in the grid of the fits.
    """
    names = list(fits[0]) if fits else []
    last = [int(np.flatnonzero(used)[np.argmax(points.size[used])])]
    total = {name: np.log(prior) for name, prior in prior_weights(names).items()}
    for fit, cut in zip(fits, cuts, strict=True):
        x, noise = np.log(points.size[last] / points.size[cut].max()), residual_noise(points, cut)[last]
        for name in names:
            discrepancy = EXACT if name == "forecast" else PRIOR
            predictive = Predictive.of(fit[name].draws[:, columns[last]], x, discrepancy, noise)
            total[name] += SHRINKAGE * float(predictive.log_density(points.log_error[last])[0])
    weight = scipy.special.softmax(np.array([total[name] for name in names]))
    return {name: float(value) for name, value in zip(names, weight, strict=True)}
