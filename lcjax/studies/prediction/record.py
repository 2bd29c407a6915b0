"""Records of a predicted learning curve."""

import jax
from jaxtyping import Bool, Float, Num

from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.group_shift import GroupShift
from lcjax.curves.learning_curve import LearningCurve
from lcjax.records import record
from lcjax.studies.prediction.answer.answer import Answer
from lcjax.studies.prediction.bottlenecks import BottleneckSweep
from lcjax.studies.prediction.exponents import ExponentTest
from lcjax.studies.prediction.held_out_features import HeldOutFeatures
from lcjax.studies.prediction.scoring.held_out import HeldOut
from lcjax.theory.gaussian import Gaussian
from lcjax.typing import Array

__all__ = ["Method", "Prediction"]


@record
class Method:
    """A learning curve as one method predicts it.

    Attributes:
        curve: error inside and beyond the measured range, `(t,)`; `standard_error` is the standard deviation of draws.
        interval: 90 % interval of the mean error, `(2, t)`, including the discrepancy of the method.
        size_for_error: size that reaches the target error; inf if it exceeds a million times the training set. Its
            interval includes the discrepancy. `None` without a target.
        parameters: "radius" of each seed, `(r,)`, in units of its features, for a law of the theory and for distances;
            "exponent" and "scale", `()`, for power laws; none for the forecast.
        converged: True if every fit converged, including those of the bootstrap, `()`.
        discrepancy: scale of `log(curve / prediction)` at e times the largest fitted size, `()`, from a back-test.
    """

    curve: LearningCurve
    interval: Float[Array, "2 t"]
    size_for_error: SizeForError | None
    parameters: dict[str, Float[Array, "*r"]]
    converged: Bool[Array, ""]
    discrepancy: Float[Array, ""] | float = 0.0


@record
class Prediction:
    """A predicted learning curve, its ingredients, and its score on held-out sizes.

    Attributes:
        answer: the result: the curve and the size for the target, averaged over methods fitted to all sizes.
        measured: test error, `(s,)`, with the replicates of all seeds; `None` before the test labels are read.
        validation: validation error, `(s,)`, with the replicates of all seeds.
        fitted: True at the sizes that `methods` are fitted to, `(s,)`.
        dimension: effective dimension.
        bottleneck: measurement of the dimension, or `None` if it was given.
        train_density: Gaussian of each seed's training features, `(r, d)` and `(r, d, d)`.
        test_density: Gaussian of each seed's validation features (test features under the paper's protocol).
        methods: predictions from the sizes below one half, by method: "hypercube" (the paper's law), "poisson" (the law
            of independent samples), "hypercube_squared" (squared distances), "distances" (no density and no dimension),
            "nearest_neighbor" (a power law with an exponent near -1/d), "power_law" and "forecast".
        refitted: the same methods fitted to all sizes.
        held_out: scores of `methods` and of their mixture, "answer", at the sizes not fitted, against errors on the
            split that they are fitted to.
        exponents: tests of the exponents -1/d, -2/d and -4/d.
        held_out_features: by method, the effect of features that the network was not trained on.
        new_groups: error on new groups compared with that on new examples of known groups, or `None` without groups.
        paper_protocol: True if test errors and test features were used, as in the paper.
    """

    answer: Answer
    measured: LearningCurve | None
    validation: LearningCurve
    fitted: Bool[Array, " s"]
    dimension: Num[Array, ""]
    bottleneck: BottleneckSweep | None
    train_density: Gaussian
    test_density: Gaussian
    methods: dict[str, Method]
    refitted: dict[str, Method]
    held_out: dict[str, HeldOut]
    exponents: dict[str, ExponentTest]
    held_out_features: dict[str, HeldOutFeatures]
    new_groups: GroupShift | None
    paper_protocol: bool = jax.tree.static(default=False)

    @property
    def shown_methods(self) -> dict[str, Method]:
        """Methods for figures: those of the answer, fitted to all sizes; none if no network makes a mistake."""
        return self.refitted if self.answer.error_limit is None else {}

    @property
    def exponent(self) -> float:
        """Exponent of the power law fitted to the sizes below one half; the theory expects -1 / dimension."""
        return float(self.methods["power_law"].parameters["exponent"])
