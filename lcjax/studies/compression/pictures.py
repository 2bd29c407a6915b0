"""T-SNE embeddings of the outputs of trained, pruned and quantized networks (Sharma et al., 2019, Figure 2)."""

from collections.abc import Sequence

import flax.linen as nn
import numpy as np
from jaxtyping import Float, Int

from lcjax.data.examples import Data, Examples
from lcjax.studies.compression.evaluation import outputs_of
from lcjax.typing import OnProgress, Progress, Variables

__all__ = ["embed", "examples_per_class"]

PER_CLASS = 50  # test examples


def examples_per_class(data: Data) -> Int[np.ndarray, " n"]:
    """Return the positions of the first 50 test examples of each class."""
    assert data.test is not None
    targets = np.asarray(data.test.targets)
    return np.concatenate([np.flatnonzero(targets == c)[:PER_CLASS] for c in range(data.classes)])


def embed(
    model: nn.Module,
    data: Data,
    index: Int[np.ndarray, " n"],
    networks: Sequence[Variables],
    on_progress: OnProgress,
    name: str,  # of the loss, for progress reports
) -> tuple[Float[np.ndarray, "k n 2"], Float[np.ndarray, " k"]]:
    """Embed the outputs of networks without dropout on test examples by t-SNE; return points and silhouettes."""
    from sklearn.manifold import TSNE
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    assert data.test is not None
    examples = Examples(np.asarray(data.test.inputs)[index], np.asarray(data.test.targets)[index])
    points, scores = [], []
    for i, variables in enumerate(networks):
        on_progress(Progress(f"t-SNE {name}", i, len(networks)))
        outputs = outputs_of(model, variables, data, examples)
        noise = 1e-6 * np.random.default_rng(0).normal(size=outputs.shape)  # a pruned network may repeat its outputs
        with threadpool_limits(1):  # on a busy machine, threads waiting for each other take minutes instead of 0.5 s
            embedded = TSNE(2, random_state=0, perplexity=min(30, len(index) / 4)).fit_transform(outputs + noise)
        points.append(embedded)
        scores.append(silhouette_score(embedded, examples.targets))
    on_progress(Progress(f"t-SNE {name}", len(networks), len(networks)))
    return np.stack(points), np.asarray(scores)
