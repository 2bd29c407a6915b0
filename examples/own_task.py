"""Rank your own task and one of the paper's by the exponents of their learning curves, measured by one protocol."""

import jax
import numpy as np
import optax

import lcjax as lc
from lcjax.studies.ranking.rank import rank
from lcjax.studies.ranking.scales import SMOKE
from lcjax.studies.ranking.task import RankedTask
from lcjax.studies.ranking.tasks import hestness_task
from lcjax.training import Budget, cosine, epochs

rng = np.random.default_rng(0)
inputs = rng.normal(size=(4000, 4))
labels = np.where(np.sin(2 * inputs[:, 0]) + inputs[:, 1] > 0, 1, 0)
data = lc.data_from_arrays(inputs, labels, name="two waves")

budget = Budget(steps=600, records=6, patience=3)
programs = tuple(
    lc.Program(lc.models.MLP((width,), 2), lc.cross_entropy, optax.adam, cosine, 32, budget, epochs)
    for width in (8, 32)
)
waves = RankedTask("two waves", "own", data, programs, rates=(3e-2, 1e-2), sizes=(20, 60, 180, 540, 1620))
images = hestness_task("images", "digits", SMOKE)
small = [lc.Program(p.model, p.objective, p.optimizer, p.schedule, 32, budget, epochs) for p in images.programs[:2]]
digits = RankedTask("digits", "images", images.data, tuple(small), rates=(3e-3,), sizes=(40, 120, 360, 1080))

hierarchy = rank(jax.random.key(0), [waves, digits], seeds=2)
for name, by_metric in hierarchy.curves.items():
    law = by_metric["error"].law()
    if law is None:
        print(f"{name}: not fitted, fewer than three sizes are better than guessing")
    else:
        print(f"{name}: exponent {law['exponent']:.3f} ({law['low']:.3f} to {law['high']:.3f})")
print("steepest first:", ", ".join(hierarchy.ranking.names) if hierarchy.ranking else "none")
