"""Held-out scores of the forecasts of single classes, with and without partial pooling."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

import lcjax as lc
from benchmarks.forecast.comparison import clustered_mean
from lcjax.curves import pool_forecasts
from lcjax.curves.learning_curve import curve_from_replicates

__all__ = ["HELD_OUT", "score"]

HELD_OUT = 3
LEVELS = (0.5, 0.8, 0.9)


def score(results: Mapping[str, Mapping[str, Any]], *, draws: int) -> dict[str, Any]:
    """Forecast the held-out sizes of each class of each network, and compare the two forecasts.

    Scores are those of single trainings: the log score is the density of their error, per unit of its logarithm. Where
    no test example is wrong, half a mistake counts. Intervals are by bootstrap over the classes of each data set, which
    are common to its networks.

    Args:
        results: what `measure` returned, by name of the network.
        draws: draws of each forecast.
    """
    rows: dict[str, list[np.ndarray]] = {"separate": [], "pooled": []}
    clusters, networks = [], []
    for number, (name, result) in enumerate(sorted(results.items())):
        size, count = np.asarray(result["size"], float), np.asarray(result["classes"], float)
        mistakes = np.asarray(result["mistakes"], float)  # (seeds, sizes, classes)
        errors = np.moveaxis(mistakes / count, -1, 0)  # (classes, seeds, sizes)
        held = size[-HELD_OUT:]
        truths = np.maximum(errors[:, :, -HELD_OUT:], 0.5 / count[:, None, None])
        classes = len(count)
        sizes = np.tile(size[:-HELD_OUT], (classes, 1))
        curve = curve_from_replicates(sizes, errors[:, :, :-HELD_OUT], test_count=count)
        key = jax.random.fold_in(jax.random.key(0), number)
        separate = lc.forecast(key, curve, draws=draws, allow_rising=True)
        for kind, one in (("separate", separate), ("pooled", pool_forecasts(separate))):
            middle = np.log(np.asarray(one.predict(held), float))
            limits = [tuple(np.asarray(limit, float) for limit in one.interval(held, level)) for level in LEVELS]
            each = []
            for seed in range(errors.shape[1]):
                truth = truths[:, seed]
                density = np.asarray(one.log_density(held, truth), float) + np.log(truth)
                covered = [((truth >= low) & (truth <= high)).astype(float) for low, high in limits]
                each.append(np.stack([density, (middle - np.log(truth)) ** 2, *covered], axis=-1))
            low, high = limits[-1]
            rows[kind].append(np.concatenate([np.mean(each, axis=0), np.log(high / low)[..., None]], axis=-1))
        clusters += [f"{result['data']} {label}" for label in range(classes)]
        networks += [name] * classes
    table = {kind: np.concatenate(values) for kind, values in rows.items()}  # (curves, sizes, scores)
    cluster, network = np.array(clusters), np.array(networks)

    def summarize(chosen: np.ndarray) -> dict[str, Any]:
        one: dict[str, Any] = {"curves": int(chosen.sum())}
        for kind, values in table.items():
            part = values[chosen]
            one[kind] = {
                "log_score": float(part[..., 0].mean()),
                "root_mean_square_log_error": float(np.sqrt(part[..., 1].mean())),
                "log_width": float(part[..., -1].mean()),
                "coverage": {
                    str(level): _estimate(part[..., 2 + i].mean(axis=1), cluster[chosen])
                    for i, level in enumerate(LEVELS)
                },
            }
        difference = (table["pooled"] - table["separate"])[chosen][..., 0].mean(axis=1)
        one["log_score_pooled_minus_separate"] = _estimate(difference, cluster[chosen])
        return one

    return {
        "held_out_sizes": HELD_OUT,
        "all": summarize(np.ones(len(cluster), bool)),
        "networks": {name: summarize(network == name) for name in sorted(results)},
    }


def _estimate(values: np.ndarray, cluster: np.ndarray) -> dict[str, float]:
    estimate = clustered_mean(values, cluster)
    return {"mean": estimate.value, "low": estimate.low, "high": estimate.high}
