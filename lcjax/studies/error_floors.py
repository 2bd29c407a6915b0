"""Error floors in a study: label noise from nearest neighbors, and the model's part from models of several sizes."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from lcjax.curves.floors.error_floor import ErrorFloor
from lcjax.curves.floors.neighbor_noise import NEIGHBORS, neighbor_noise_floor
from lcjax.data.examples import Data
from lcjax.data.streamed import fetch_rows
from lcjax.models.parameters import parameter_count
from lcjax.scaling.fit import fit_scaling_law
from lcjax.scaling.identifiability import examine_design
from lcjax.scaling.laws import chinchilla
from lcjax.scaling.model_floor import model_floor
from lcjax.scaling.residuals import Gaussian
from lcjax.training import Program
from lcjax.typing import Array, KeyArray

__all__ = ["label_noise_floor", "model_size_floor"]

LARGEST = 4096  # largest number of examples that are searched for neighbors
DRAWS = 200


def label_noise_floor(data: Data, rng: np.random.Generator) -> ErrorFloor | None:
    """Return an interval for the floor due to label noise, from the inputs and labels of training examples.

    The floor is that of `lcjax.curves.floors.neighbor_noise`, from at most 4,096 random examples. In many dimensions
    neighbors are far apart, and the interval extends from 0 to the error of the nearest-neighbor rule.

    Args:
        data: the task.
        rng: generator that selects the examples.

    Returns:
        The floor, or None without one class per example, with inputs of several arrays, or with fewer than 64 examples.
    """
    n = len(data.train.targets)
    if not data.classes or np.ndim(data.train.targets) != 1 or isinstance(data.train.inputs, dict) or n < 2 * NEIGHBORS:
        return None
    rows = np.sort(rng.choice(n, size=min(n, LARGEST), replace=False))
    inputs = np.asarray(fetch_rows(data.train.inputs, rows), np.float32)
    points = ((inputs - np.asarray(data.offset)) * np.asarray(data.scale)).reshape(len(rows), -1)
    labels = np.asarray(data.train.targets)[rows]
    return neighbor_noise_floor(points.astype(np.float32), labels, classes=data.classes)


def model_size_floor(
    key: KeyArray,
    data: Data,
    programs: Sequence[Program],
    size: Int[np.ndarray, " s"],
    error: Float[np.ndarray, "p s"],
    chosen: int,
) -> ErrorFloor | None:
    """Return the part of the error that larger models would remove, from a joint law in parameters and examples.

    The law is that of `lcjax.fit_scaling_law`, fitted by least squares, with 200 bootstrap draws.

    Args:
        key: typed key of the bootstrap.
        data: the task.
        programs: programs with models of several sizes.
        size: numbers of training examples.
        error: error of each program at each size, nan where it failed; errors of 0 are excluded.
        chosen: index of the program whose part is returned.

    Returns:
        The floor, or None for runs that do not determine the law, such as those of fewer than three model sizes or
        data sizes.
    """
    count = np.array([_parameter_count(program, data) for program in programs])
    model, examples = (np.broadcast_to(values, error.shape) for values in (count[:, None], size))
    usable = np.isfinite(error) & (error > 0)
    columns = {"params": model, "tokens": examples, "loss": error}
    runs = {name: np.asarray(values[usable], float) for name, values in columns.items()}
    if not usable.any() or not examine_design(chinchilla, runs).determined:
        return None
    return model_floor(fit_scaling_law(key, runs, loss=Gaussian(), draws=DRAWS), float(count[chosen]))


def _parameter_count(program: Program, data: Data) -> int:
    """Count the parameters of a program's model without computing them."""

    def example(leaf: Array) -> jax.ShapeDtypeStruct:
        is_token = np.issubdtype(leaf.dtype, np.integer) and leaf.dtype != np.uint8
        return jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype if is_token else np.float32)

    inputs: Any = jax.tree.map(example, data.train.inputs)
    columns: dict[str, Any] = dict.fromkeys(program.model_columns, 1)
    variables = jax.eval_shape(lambda inputs: program.model.init(jax.random.key(0), inputs, **columns), inputs)
    return parameter_count(variables)
