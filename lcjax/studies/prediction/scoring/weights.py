"""Weights of methods in the answer: prior weights, updated by back-tests inside the fitted sizes."""

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.special

from lcjax.studies.prediction.methods.points import Fit, Points, Used
from lcjax.studies.prediction.scoring.discrepancy import EXACT, PRIOR, Predictive, residual_noise

__all__ = ["ODDS", "SHRINKAGE", "method_weights", "prior_weights"]

# Learned on the tuning half of LCDB 1.1 (docs/results/predict-prior/prior.json): odds of a power law with the
# discrepancy of its back-test against the calibrated forecast, 0.049 to 0.941, and the power of the densities of the
# back-test, whose gain over the prior alone is 0.009 nats. The last value gets a weight of 0.01 and is left out.
ODDS = 0.052
SHRINKAGE = 1.0

_SAME = ("hypercube", "poisson")  # two forms of one law, which share its prior weight


def prior_weights(names: Sequence[str]) -> dict[str, float]:
    """Return the prior weights of methods: those of the theory have that of the power law.

    Examples:
        >>> weights = prior_weights(["hypercube", "poisson", "power_law", "forecast"])
        >>> {name: round(weight, 3) for name, weight in weights.items()}
        {'hypercube': 0.024, 'poisson': 0.024, 'power_law': 0.047, 'forecast': 0.906}
    """
    same = sum(name in _SAME for name in names)
    weight = {name: 1.0 if name == "forecast" else ODDS / (same if name in _SAME else 1) for name in names}
    total = sum(weight.values())
    return {name: value / total for name, value in weight.items()}


def method_weights(
    fits: Sequence[Mapping[str, Fit]], cuts: Sequence[Used], used: Used, points: Points, columns: np.ndarray
) -> dict[str, float]:
    """Return `prior * exp(shrinkage * sum_j log density_j)`, normalized over methods.

    The densities are those of the measured errors that a cut leaves out, as the method predicts them from the smaller
    sizes with the prior discrepancy, averaged over the cuts that predict the same error.

    Without a cut the result is empty.

    Args:
        fits: methods fitted to each cut.
        cuts: selections of sizes of these fits.
        used: sizes of the fits to weigh.
        points: measured errors.
        columns: places of the sizes in the grid of the fits.
    """
    if not fits:
        return {}
    names = list(fits[0])
    total = {name: np.log(prior) for name, prior in prior_weights(names).items()}
    tested = np.sum([used & ~cut for cut in cuts], axis=0)  # number of cuts that predict each size
    for fit, cut in zip(fits, cuts, strict=True):
        left = np.flatnonzero(used & ~cut)
        x, noise = np.log(points.size[left] / points.size[cut].max()), residual_noise(points, cut)[left]
        for name in names:
            discrepancy = EXACT if name == "forecast" else PRIOR
            predictive = Predictive.of(fit[name].draws[:, columns[left]], x, discrepancy, noise)
            total[name] += SHRINKAGE * float(np.sum(predictive.log_density(points.log_error[left]) / tested[left]))
    weight = scipy.special.softmax(np.array([total[name] for name in names]))
    return {name: float(value) for name, value in zip(names, weight, strict=True)}
