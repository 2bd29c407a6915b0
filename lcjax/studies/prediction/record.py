"""What a prediction of a learning curve is."""

import jax
import numpy as np
from jaxtyping import Bool, Float, Num

from lcjax.curves.learning_curve import LearningCurve
from lcjax.records import record
from lcjax.studies.prediction.bottlenecks import BottleneckSweep
from lcjax.theory.gaussian import Gaussian

__all__ = ["Prediction", "SizeForTarget"]

Array = jax.Array | np.ndarray


@record
class SizeForTarget:
    """Examples needed for a target error.

    Attributes:
        value: by the central prediction, `()`; inf where it is not reached below 1e15 examples.
        low: lower end of the 90 % interval, `()`.
        high: upper end of the 90 % interval, `()`.
    """

    value: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]


@record
class Prediction:
    """A predicted learning curve, what it rests on, and how good it turned out to be.

    Dictionaries have one entry a method: "hypercube" (the paper's law), "poisson" (the law of independent samples),
    "power_law" (a fit without theory).

    Attributes:
        measured: test error, `(s,)`, with the replicates of all seeds; `None` before the test labels are read.
        validation: validation error, `(s,)`, likewise.
        fitted: which sizes the prediction is fitted to, `(s,)`.
        dimension: effective dimension used.
        bottleneck: how it was measured, or `None` where it was given.
        train: Gaussian of each seed's training features, `(r, d)` and `(r, d, d)`.
        test: Gaussian of each seed's validation features (of test features under the paper's protocol).
        radius: radius of each seed in the units of its features, law -> `(r,)`.
        converged: whether every fit of the radius converged, law -> `()`.
        exponent: of the power law fitted to the same points, `()`; the theory's is -1/d.
        predicted: error at every size and beyond the data; `standard_error` is the bootstrap's.
        interval: 90 % bootstrap interval of `predicted`, method -> `(2, s')`.
        size_for_target: examples needed for the target error; empty where none was asked for.
        held_out_log_error: log(predicted / measured) at the sizes not fitted, method -> `(s_out,)`; empty before, inf
            where no test example was wrong.
        paper_protocol: whether test errors and test features were used, as in the paper.
    """

    measured: LearningCurve | None
    validation: LearningCurve
    fitted: Bool[Array, " s"]
    dimension: Num[Array, ""]
    bottleneck: BottleneckSweep | None
    train: Gaussian
    test: Gaussian
    radius: dict[str, Float[Array, " r"]]
    converged: dict[str, Bool[Array, ""]]
    exponent: Float[Array, ""]
    predicted: dict[str, LearningCurve]
    interval: dict[str, Float[Array, "2 t"]]
    size_for_target: dict[str, SizeForTarget]
    held_out_log_error: dict[str, Float[Array, " u"]]
    paper_protocol: bool = jax.tree.static(default=False)
