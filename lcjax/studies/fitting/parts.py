"""Ranking of classes or groups: the worst one now and with more data, and the one that gains most from more data."""

import numpy as np
from jaxtyping import Float, Shaped

from lcjax.curves.forecast.forecast import Forecast
from lcjax.curves.metrics import ERROR, Metric
from lcjax.formats import format_number, format_probability
from lcjax.records import record
from lcjax.studies.fitting.fitted_curves import FittedCurves

__all__ = ["PartRanking", "rank_parts"]


@record
class PartRanking:
    """Classes or groups compared by the forecasts of their errors.

    All parts grow together, in the proportions of the training set: nothing is known about more data of one part alone.

    Attributes:
        size: the largest fitted size, and 2 and 4 times it, `(3,)`.
        worst: probability that each of b parts has the largest error, `(b, 3)`.
        gain: improvement of the metric of each part when the data are doubled, in its unit, `(b,)`.
        gain_low: lower limit of its interval, `(b,)`.
        gain_high: upper limit, `(b,)`.
    """

    size: Float[np.ndarray, " 3"]
    worst: Float[np.ndarray, "b 3"]
    gain: Float[np.ndarray, " b"]
    gain_low: Float[np.ndarray, " b"]
    gain_high: Float[np.ndarray, " b"]

    def sentence(
        self, names: Shaped[np.ndarray, " b"] | tuple[str, ...], *, percent: bool = False, metric: Metric = ERROR
    ) -> str:
        """Return which part is worst with more data, and which gains most, in words.

        Args:
            names: names of the parts.
            percent: the errors are shares, whose improvements are given in percentage points.
            metric: metric of the parts.
        """
        worst, most = int(np.argmax(self.worst[:, -1])), int(np.argmax(self.gain))
        low, high, gain = (
            format_number(100 * value if percent else value)
            for value in (self.gain_low[most], self.gain_high[most], self.gain[most])
        )
        unit = " percentage points" if percent else ""
        likely = format_probability(self.worst[worst, -1])
        return (
            f"Worst with 4 times the data: {names[worst]} (probability {likely}). Twice the data "
            f"would {'raise' if metric.rises else 'reduce'} the {metric.name} of {names[most]} most, by "
            f"{gain}{unit} ({low} to {high})."
        )


def rank_parts(fitted: FittedCurves) -> PartRanking:
    """Compare the parts of one measurement, curve by curve.

    Args:
        fitted: curves of the parts, as a Bayesian average; given the data, their errors count as independent.

    Raises:
        ValueError: there is one curve only, or the forecast is a mixture of forms.

    Examples:
        >>> import jax, numpy as np
        >>> from lcjax.studies.collection.measurements import Training, gather
        >>> from lcjax.studies.fitting.fitted_curves import fit_learning_curves
        >>> sizes = 100 * 2 ** np.arange(5)
        >>> report = lambda n: {"error": n**-0.4, "classes.cat": 0.5 * n**-0.5, "classes.dog": 2 * n**-0.4}
        >>> table = gather(Training(int(n), 0, report(float(n)), 1.0) for n in sizes).part_curves()
        >>> fitted = fit_learning_curves(jax.random.key(0), table, pooled=True)
        >>> ranked = rank_parts(fitted)
        >>> ranked.worst[:, 2].round().tolist(), bool(ranked.gain[1] > ranked.gain[0])
        ([0.0, 1.0], True)
        >>> ranked.sentence(("cat", "dog"), percent=True).split(" most, by ")[0]
        'Worst with 4 times the data: dog (probability more than 99 %). Twice the data would reduce the error of dog'
    """
    prediction = fitted.forecast
    if not isinstance(prediction, Forecast):
        raise ValueError("Parts are compared by the Bayesian average over families: leave out the forms.")
    if len(fitted.table.names) < 2:
        raise ValueError("At least two parts are needed to compare them, got one.")
    largest = np.asarray(prediction.largest, float)
    size = largest.max() * np.array([1.0, 2.0, 4.0])
    draws = np.array(prediction.predict_draws(size), float)  # (b, k, 3)
    for i, row in enumerate(draws):  # the draws of different parts are independent
        draws[i] = row[np.random.default_rng(i).permutation(len(row))]
    is_worst = draws == draws.max(axis=0)
    metric = fitted.table.metric
    values = draws if metric.transform == "identity" else metric.from_error(draws)  # transformed metrics are minimized
    gain = values[:, :, 0] - values[:, :, 1]
    limits = np.quantile(gain, [0.5 - fitted.level / 2, 0.5, 0.5 + fitted.level / 2], axis=1)
    share = is_worst / is_worst.sum(axis=0)
    return PartRanking(size, share.mean(axis=1), limits[1], limits[0], limits[2])
