"""T-SNE pictures of what nets say, as trained, pruned and quantized (Figure 2 of Sharma et al.)."""

from collections.abc import Sequence

import flax.linen as nn
import numpy as np
from jaxtyping import Float, Int

from lcjax.data.examples import Data, Examples
from lcjax.studies.compression.net_accuracy import outputs_of
from lcjax.studies.prediction.stages import Report

__all__ = ["picture", "pictured_examples"]

PICTURED = 50  # test examples a class


def pictured_examples(data: Data) -> Int[np.ndarray, " n"]:
    """The first test examples of each class, by their places in the test set."""
    assert data.test is not None
    targets = np.asarray(data.test.targets)
    return np.concatenate([np.flatnonzero(targets == c)[:PICTURED] for c in range(data.classes)])


def picture(
    model: nn.Module, data: Data, chosen: Int[np.ndarray, " n"], nets: Sequence[object], report: Report, name: str
) -> tuple[Float[np.ndarray, "nets n 2"], Float[np.ndarray, " nets"]]:
    """T-SNE of the last layer's outputs of each net, and how well the classes separate in it (silhouette).

    Args:
        model: without dropout.
        data: with a test split.
        chosen: places of the examples in the test set.
        nets: variables of each.
        report: called before each.
        name: of the loss, for the report.

    Returns:
        Points and silhouettes.
    """
    from sklearn.manifold import TSNE
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    assert data.test is not None
    examples = Examples(np.asarray(data.test.inputs)[chosen], np.asarray(data.test.targets)[chosen])
    points, scores = [], []
    for i, variables in enumerate(nets):
        report(f"t-SNE {name}", i, len(nets))
        outputs = outputs_of(model, variables, data, examples)
        spread = 1e-6 * np.random.default_rng(0).normal(size=outputs.shape)  # a pruned net may say the same of many
        with threadpool_limits(1):  # on a busy machine threads wait for each other: minutes instead of half a second
            embedded = TSNE(2, random_state=0, perplexity=min(30, len(chosen) / 4)).fit_transform(outputs + spread)
        points.append(embedded)
        scores.append(silhouette_score(embedded, examples.targets))
    report(f"t-SNE {name}", len(nets), len(nets))
    return np.stack(points), np.asarray(scores)
