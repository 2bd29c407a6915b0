"""Records of a predicted learning curve."""

import jax
from jaxtyping import Bool, Float, Num

from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.learning_curve import LearningCurve
from lcjax.records import record
from lcjax.studies.prediction.bottlenecks import BottleneckSweep
from lcjax.theory.gaussian import Gaussian
from lcjax.typing import Array

__all__ = ["Method", "Prediction"]


@record
class Method:
    """A learning curve as one method predicts it.

    Attributes:
        curve: error at every size and beyond the data, `(t,)`; `standard_error` is that of the bootstrap.
        interval: 90 % bootstrap interval of the error, `(2, t)`.
        size_for_error: size that reaches the target error, inf if that takes more than 1e15 examples; `None` without a
            target.
        parameters: "radius" of each seed, `(r,)`, in units of its features, for a law of the theory; "exponent" and
            "scale", `()`, for the power law.
        converged: True if every fit converged, those of the bootstrap included, `()`.
    """

    curve: LearningCurve
    interval: Float[Array, "2 t"]
    size_for_error: SizeForError | None
    parameters: dict[str, Float[Array, "*r"]]
    converged: Bool[Array, ""]


@record
class Prediction:
    """A predicted learning curve, its ingredients, and its score on held-out sizes.

    Attributes:
        measured: test error, `(s,)`, with the replicates of all seeds; `None` before the test labels are read.
        validation: validation error, `(s,)`, likewise.
        fitted: True at the sizes that the prediction is fitted to, `(s,)`.
        dimension: effective dimension.
        bottleneck: its measurement, or `None` if the dimension was given.
        train_density: Gaussian of each seed's training features, `(r, d)` and `(r, d, d)`.
        test_density: Gaussian of each seed's validation features (test features under the paper's protocol).
        methods: predictions by method: "hypercube" (the paper's law), "poisson" (the law of independent samples) and
            "power_law" (a fit without theory).
        held_out_log_error: log(predicted / measured) at the sizes not fitted, method -> `(s_out,)`; empty before the
            test labels are read, inf where no test example was misclassified.
        paper_protocol: True if test errors and test features were used, as in the paper.
    """

    measured: LearningCurve | None
    validation: LearningCurve
    fitted: Bool[Array, " s"]
    dimension: Num[Array, ""]
    bottleneck: BottleneckSweep | None
    train_density: Gaussian
    test_density: Gaussian
    methods: dict[str, Method]
    held_out_log_error: dict[str, Float[Array, " u"]]
    paper_protocol: bool = jax.tree.static(default=False)

    @property
    def exponent(self) -> float:
        """Exponent of the power law fitted to the same sizes; -1 / dimension in the theory."""
        return float(self.methods["power_law"].parameters["exponent"])
