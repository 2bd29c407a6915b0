"""Default training of each network: program, learning rate, and fine-tuning with a bottleneck."""

import dataclasses
import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import optax

from lcjax.data.examples import Data
from lcjax.models.losses import cross_entropy, mean_squared_error
from lcjax.models.vision.alexnet import AlexNet, SmallAlexNet
from lcjax.models.vision.densenet import DenseNet
from lcjax.models.vision.driving import DrivingNet
from lcjax.models.vision.inception import InceptionV3, SmallInception
from lcjax.models.vision.lenet import LeNet
from lcjax.models.vision.mlp import MLP
from lcjax.models.vision.quicknet import QuickNet
from lcjax.models.vision.resnet import resnet
from lcjax.models.vision.vgg import VGG
from lcjax.training import Budget, Program, cosine, epochs, momentum
from lcjax.training.program import to_number

__all__ = ["RECIPES", "Recipe", "driving_recipe", "image_recipe", "lenet_recipe", "mlp_recipe", "quicknet_recipe"]

SMALLEST_VGG = 32  # pixels per side that five poolings reduce to one
LARGE = 112  # pixels per side from which a network has its ImageNet variant


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A program and its training.

    Attributes:
        program: program of the runs from scratch.
        learning_rate: initial learning rate of the runs from scratch.
        fine_tune: budget of a fine-tuning run with a bottleneck.
        fine_tune_rate: initial learning rate of a fine-tuning run.
        margin: largest loss of accuracy for a bottleneck to count as not inferior, a fraction.

    Raises:
        ValueError: a number is negative or not finite.
    """

    program: Program
    learning_rate: float
    fine_tune: Budget
    fine_tune_rate: float
    margin: float

    def __post_init__(self) -> None:
        for name in ("learning_rate", "fine_tune_rate", "margin"):
            number = to_number(f"Recipe.{name}", getattr(self, name), whole=False, least=0)
            object.__setattr__(self, name, float(number))

    def with_budget(self, *, steps: int | None = None, epochs: float | None = None) -> "Recipe":
        """Return the recipe with another budget; `None` leaves a number unchanged.

        Examples:
            >>> import lcjax as lc
            >>> mlp_recipe(lc.load_data("digits")).with_budget(steps=50).program.budget.steps
            50
        """
        old = self.program.budget
        budget = Budget(old.steps if steps is None else steps, old.epochs if epochs is None else epochs)
        return dataclasses.replace(self, program=dataclasses.replace(self.program, budget=budget))


def mlp_recipe(data: Data) -> Recipe:
    """Return the recipe of a perceptron with two hidden layers of 64 units, for the digits and for tabular data.

    It is tuned on validation error; small batches and a large learning rate fine-tune narrow bottlenecks best. The
    margin of 2 % is about 3.3 standard errors of a paired difference on the 240 validation examples of the digits, so
    that a bottleneck that loses nothing passes the test with probability 95 %.

    Examples:
        >>> import lcjax as lc
        >>> mlp_recipe(lc.load_data("digits")).program.model.widths
        (64, 64)
    """
    program = _program(data, MLP((64, 64), _outputs(data)), batch=16, budget=Budget(steps=3000))
    return Recipe(program, 3e-3, Budget(steps=3000), 1e-2, margin=0.02)


def lenet_recipe(data: Data) -> Recipe:
    """Return the recipe of a LeNet with 6 and 16 filters, for MNIST as in Bisla et al. (2021), section 4.2.

    Padding (none), optimizer, learning rate, batch size and budget are ours, tuned on validation error; the paper only
    names stochastic gradient descent.

    Examples:
        >>> import lcjax as lc
        >>> lenet_recipe(lc.load_data("digits")).program.model.filters
        (6, 16)
    """
    program = _program(data, LeNet(classes=_outputs(data)), batch=128, budget=Budget(steps=1000, epochs=14))
    return Recipe(program, 4e-3, Budget(steps=500, epochs=6), 4e-3, margin=0.005)


def driving_recipe(data: Data) -> Recipe:
    """Return the recipe of the driving network: loss and Adam as in Bisla et al. (2021), section 4; layers ours.

    Examples:
        >>> import lcjax as lc, numpy as np
        >>> examples = lc.Examples(np.zeros((1, 22, 66, 3), np.uint8), np.zeros(1, np.float32))
        >>> driving_recipe(lc.Data(examples, examples, None)).program.objective.__name__
        'mean_squared_error'
    """
    program = _program(data, DrivingNet(), batch=32, budget=Budget(steps=800, epochs=40), loss=mean_squared_error)
    return Recipe(program, 1e-3, Budget(steps=400, epochs=10), 5e-4, margin=0.02)


def quicknet_recipe(data: Data) -> Recipe:
    """Return the recipe of Caffe's quick network for 32x32 pixels; Adam, learning rate, batch size and budget are ours.

    Its initial weights are so small (1e-4, for pixels up to 255) that momentum hardly moves them on normalized inputs.

    Examples:
        >>> import lcjax as lc
        >>> quicknet_recipe(lc.load_data("digits")).program.batch
        64
    """
    _check_images(data, "quicknet")
    program = _program(data, QuickNet(_outputs(data)), batch=64, budget=Budget(steps=1500, epochs=20))
    return Recipe(program, 1e-3, Budget(steps=500, epochs=6), 1e-3, margin=0.01)


def image_recipe(data: Data, *, model: str, width: float = 1.0) -> Recipe:
    """Return the recipe of a large network for images, trained by stochastic gradient descent.

    Bisla et al. (2021), section 4, name the optimizer only. Ours: momentum 0.9, a cosine schedule from a learning rate
    of 0.05 (AlexNet: 0.01), batch size 128, at least 2,000 steps and 60 epochs. There is no augmentation and no weight
    decay, because the theory assumes a training error of zero on the shard's own examples. Images of at least 112
    pixels per side use the ImageNet variant of the network and batch size 256.

    Args:
        data: images with channels last.
        model: "vgg16", "resnet18", "resnet50", "alexnet", "inception" or "densenet".
        width: factor on all filters of a residual network.

    Raises:
        ValueError: the inputs are not images or too small, the model is unknown, or it has no width.

    Examples:
        >>> import lcjax as lc, numpy as np
        >>> examples = lc.Examples(np.zeros((2, 32, 32, 3), np.uint8), np.arange(2, dtype=np.int32))
        >>> recipe = image_recipe(lc.Data(examples, examples, None, classes=2), model="resnet18", width=0.25)
        >>> recipe.program.model.stages, recipe.program.model.width
        ((2, 2, 2, 2), 16)
    """
    _check_images(data, model)
    large = min(data.train.inputs.shape[1:3]) >= LARGE
    outputs = _outputs(data)
    rate = 0.01 if model == "alexnet" else 0.05
    network: nn.Module
    if model in ("resnet18", "resnet50"):
        network = resnet(int(model.removeprefix("resnet")), width=width, classes=outputs, imagenet_stem=large)
    elif width != 1:
        raise ValueError(f"Only residual networks have a width, not {model}: got {width}.")
    elif model == "vgg16":
        network = VGG(hidden=(4096, 4096) if large else (), classes=outputs, dropout=0.5 if large else 0.0)
    elif model == "alexnet":
        network = AlexNet(outputs) if large else SmallAlexNet(outputs)
    elif model == "inception":
        network = InceptionV3(outputs) if large else SmallInception(outputs)
    elif model == "densenet":
        network = DenseNet(classes=outputs)
    else:
        raise ValueError(f"Unknown model {model!r}; the models are {', '.join(RECIPES)}.")
    budget = Budget(steps=2000, epochs=60)
    program = _program(data, network, batch=256 if large else 128, budget=budget, optimizer=momentum)
    return Recipe(program, rate, Budget(steps=500, epochs=10), rate / 5, margin=0.01)


def _outputs(data: Data) -> int:
    """Return the number of outputs of a model: the classes, or 1 for regression."""
    return max(data.classes, 1)


def _program(
    data: Data,
    model: nn.Module,
    *,
    batch: int,
    budget: Budget,
    loss: Callable[..., jax.Array] | None = None,
    optimizer: Callable[..., optax.GradientTransformation] = optax.adam,
) -> Program:
    """Return a program with keyed epochs and a cosine schedule, by default with the loss of the task and Adam."""
    loss = loss or (cross_entropy if data.classes else mean_squared_error)
    return Program(model, loss, optimizer, cosine, batch=batch, budget=budget, sampling=epochs)


def _check_images(data: Data, model: str) -> None:
    shape = data.train.inputs.shape
    if len(shape) != 4:
        raise ValueError(f"{model} takes images (n, height, width, channels), got inputs of shape {shape}.")
    if model == "vgg16" and min(shape[1:3]) < SMALLEST_VGG:
        raise ValueError(
            f"vgg16 halves an image five times and needs at least {SMALLEST_VGG} pixels per side, got {shape[1:3]}."
        )


RECIPES: dict[str, Callable[[Data], Recipe]] = {
    "mlp": mlp_recipe,
    "lenet": lenet_recipe,
    "driving": driving_recipe,
    "quicknet": quicknet_recipe,
    **{
        name: functools.partial(image_recipe, model=name)
        for name in ("vgg16", "resnet18", "resnet50", "alexnet", "inception", "densenet")
    },
}
