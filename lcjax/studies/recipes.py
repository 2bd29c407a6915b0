"""How each net is trained by default: program, learning rate, and the fine-tuning of a bottleneck."""

import dataclasses
from collections.abc import Callable
from typing import Any

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

__all__ = ["RECIPES", "Recipe", "driving_recipe", "image_recipe", "lenet_recipe", "mlp_recipe", "quicknet_recipe"]

HALVED = 32  # pixels a side that VGG leaves one of
LARGE = 112  # pixels a side from which a net has its ImageNet form


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
        optax.adam,
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
        optax.adam,
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
        DrivingNet(),
        mean_squared_error,
        optax.adam,
        cosine,
        batch=32,
        budget=Budget(steps=800, epochs=40),
        sampling=epochs,
    )
    return Recipe(program, 1e-3, Budget(steps=400, epochs=10), 5e-4, margin=0.02)


def quicknet_recipe(data: Data) -> Recipe:
    """Caffe's quick net for 32x32 pixels; Adam, rate, batch and budget are ours.

    Its first weights are so small (1e-4, for pixels up to 255) that momentum hardly leaves the start on normalised
    inputs.

    Examples:
        >>> import lcjax as lc
        >>> quicknet_recipe(lc.load_data("digits")).program.batch
        64
    """
    _check_images(data, "quicknet")
    program = Program(
        QuickNet(max(data.classes, 1)),
        cross_entropy if data.classes else mean_squared_error,
        optax.adam,
        cosine,
        batch=64,
        budget=Budget(steps=1500, epochs=20),
        sampling=epochs,
    )
    return Recipe(program, 1e-3, Budget(steps=500, epochs=6), 1e-3, margin=0.01)


def image_recipe(data: Data, *, model: str, width: float = 1.0) -> Recipe:
    """A large net for images, trained by stochastic gradient descent, as Bisla et al. (2021), section 4, name it.

    Momentum 0.9, cosine from a rate of 0.05 (0.01 for nets without BatchNorm), 128 examples a step, at least 2,000
    steps and 60 epochs are ours; so is that there is no augmentation and no weight decay: the theory assumes a
    training error of zero on the very examples of the shard. Images of 112 pixels a side or more get the ImageNet form
    of the net and 256 examples a step.

    Args:
        data: images with channels last.
        model: "vgg16", "resnet18", "resnet50", "alexnet", "inception" or "densenet".
        width: factor of all filters of a residual network.

    Raises:
        ValueError: the inputs are not images or too small ones, there is no such net, or a width is given to a net
            that has none.

    Examples:
        >>> import lcjax as lc, numpy as np
        >>> examples = lc.Examples(np.zeros((2, 32, 32, 3), np.uint8), np.arange(2, dtype=np.int32))
        >>> recipe = image_recipe(lc.Data(examples, examples, None, classes=2), model="resnet18", width=0.25)
        >>> recipe.program.model.stages, recipe.program.model.width
        ((2, 2, 2, 2), 16)
    """
    _check_images(data, model)
    large = min(data.train.inputs.shape[1:3]) >= LARGE
    outputs = max(data.classes, 1)
    rate = 0.01 if model == "alexnet" else 0.05
    net: Any
    if model in ("resnet18", "resnet50"):
        net = resnet(int(model.removeprefix("resnet")), width=width, classes=outputs, imagenet_stem=large)
    elif width != 1:
        raise ValueError(f"Only residual networks have a width, not {model}: got {width}.")
    elif model == "vgg16":
        net = VGG(hidden=(4096, 4096) if large else (), classes=outputs, dropout=0.5 if large else 0.0)
    elif model == "alexnet":
        net = AlexNet(outputs) if large else SmallAlexNet(outputs)
    elif model == "inception":
        net = InceptionV3(outputs) if large else SmallInception(outputs)
    elif model == "densenet":
        net = DenseNet(classes=outputs)
    else:
        raise ValueError(f"There is no net {model!r}; known are {', '.join(RECIPES)}.")
    program = Program(
        net,
        cross_entropy if data.classes else mean_squared_error,
        momentum,
        cosine,
        batch=256 if large else 128,
        budget=Budget(steps=2000, epochs=60),
        sampling=epochs,
    )
    return Recipe(program, rate, Budget(steps=500, epochs=10), rate / 5, margin=0.01)


def _check_images(data: Data, model: str) -> None:
    shape = data.train.inputs.shape
    if len(shape) != 4:
        raise ValueError(f"{model} takes images (n, height, width, channels), got inputs of {shape}.")
    if model == "vgg16" and min(shape[1:3]) < HALVED:
        raise ValueError(
            f"vgg16 halves an image five times and takes {HALVED} pixels a side or more, got {shape[1:3]}."
        )


def _image_recipe(model: str) -> Callable[[Data], Recipe]:
    return lambda data: image_recipe(data, model=model)


RECIPES: dict[str, Callable[[Data], Recipe]] = {
    "mlp": mlp_recipe,
    "lenet": lenet_recipe,
    "driving": driving_recipe,
    "quicknet": quicknet_recipe,
    **{name: _image_recipe(name) for name in ("vgg16", "resnet18", "resnet50", "alexnet", "inception", "densenet")},
}
