"""How each net is trained by default: program, learning rate, and the fine-tuning of a bottleneck."""

import dataclasses

from lcjax.data.examples import Data
from lcjax.models.driving import DrivingNet
from lcjax.models.objectives import cross_entropy, mean_squared_error
from lcjax.models.vision import MLP, LeNet
from lcjax.training import Budget, Program, adam, cosine, epochs

__all__ = ["Recipe", "driving_recipe", "lenet_recipe", "mlp_recipe"]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One net and how to train it.

    Attributes:
        program: of the trainings from scratch.
        learning_rate: of the trainings from scratch, at their start.
        fine_tune: budget of a fine-tuning with a bottleneck.
        fine_tune_rate: learning rate of a fine-tuning, at its start.
        margin: loss of accuracy up to which a bottleneck counts as not inferior, a fraction.
    """

    program: Program
    learning_rate: float
    fine_tune: Budget
    fine_tune_rate: float
    margin: float

    def with_budget(self, *, steps: int | None = None, epochs: float | None = None) -> "Recipe":
        """The recipe with another budget; what is `None` stays."""
        old = self.program.budget
        budget = Budget(old.steps if steps is None else steps, old.epochs if epochs is None else epochs)
        return dataclasses.replace(self, program=dataclasses.replace(self.program, budget=budget))


def mlp_recipe(data: Data) -> Recipe:
    """A perceptron of two hidden layers of 64 units: for the embedded digits and tabular data.

    Tuned on validation error. Small batches and a large rate fine-tune narrow bottlenecks best; the margin of
    2 % is about 3.3 standard errors of a paired difference on the digits' 240 validation examples, so that a
    bottleneck that loses nothing passes the test with 95 % probability.

    Examples:
        >>> import lcjax as lc
        >>> mlp_recipe(lc.load_data("digits")).program.model.widths
        (64, 64)
    """
    program = Program(
        MLP((64, 64), max(data.classes, 1)),
        cross_entropy if data.classes else mean_squared_error,
        adam,
        cosine,
        batch=16,
        budget=Budget(steps=3000),
        sampling=epochs,
    )
    return Recipe(program, 3e-3, Budget(steps=3000), 1e-2, margin=0.02)


def lenet_recipe(data: Data) -> Recipe:
    """LeNet with 6 and 16 filters, for MNIST as in Bisla et al. (2021), section 4.2.

    Padding (none), optimizer, rate, batch and budget are ours, tuned on validation error: the paper names stochastic
    gradient descent only.

    Examples:
        >>> import lcjax as lc
        >>> lenet_recipe(lc.load_data("digits")).program.model.filters
        (6, 16)
    """
    program = Program(
        LeNet(classes=max(data.classes, 1)),
        cross_entropy if data.classes else mean_squared_error,
        adam,
        cosine,
        batch=128,
        budget=Budget(steps=1000, epochs=14),
        sampling=epochs,
    )
    return Recipe(program, 4e-3, Budget(steps=500, epochs=6), 4e-3, margin=0.005)


def driving_recipe(data: Data) -> Recipe:
    """The driving net: mean squared error and Adam, as in Bisla et al. (2021), section 4; the layers are ours.

    Examples:
        >>> import lcjax as lc, numpy as np
        >>> examples = lc.Examples(np.zeros((1, 22, 66, 3), np.uint8), np.zeros(1, np.float32))
        >>> driving_recipe(lc.Data(examples, examples, None)).program.objective.__name__
        'mean_squared_error'
    """
    program = Program(
        DrivingNet(), mean_squared_error, adam, cosine, batch=32, budget=Budget(steps=800, epochs=40), sampling=epochs
    )
    return Recipe(program, 1e-3, Budget(steps=400, epochs=10), 5e-4, margin=0.02)
