"""Floors in a study: flipped labels, and a law of models of several sizes."""

import jax
import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.models.parameters import parameter_count
from lcjax.studies.error_floors import label_noise_floor, model_size_floor
from lcjax.training import Budget, cosine, epochs


def test_flipped_labels_set_a_floor():
    rng = np.random.default_rng(2)
    inputs = rng.uniform(size=(3000, 2)).astype(np.float32)
    labels = ((inputs[:, 0] > 0.5) ^ (rng.permutation(3000) < 300)).astype(np.int32)
    data = lc.data_from_arrays(inputs, labels)
    floor = label_noise_floor(data, rng)
    assert float(floor.low) <= 0.1 <= float(floor.high)
    assert label_noise_floor(lc.data_from_arrays(inputs, inputs[:, 0]), rng) is None


@pytest.mark.slow
def test_models_of_several_sizes_tell_what_a_larger_one_gains():
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(60, 4)).astype(np.float32)
    data = lc.data_from_arrays(inputs, (inputs[:, 0] > 0).astype(np.int32))
    budget = Budget(steps=1)
    programs = [
        lc.Program(lc.models.MLP((width,), 2), lc.cross_entropy, optax.adam, cosine, 16, budget, epochs)
        for width in (2, 8, 32, 128)
    ]
    count = np.array([parameter_count(program.model, jax.ShapeDtypeStruct((1, 4), np.float32)) for program in programs])
    size = np.array([100, 1000, 10_000, 100_000])
    error = 0.02 + (count**-0.5)[:, None] + size**-0.5
    error[3, 0] = np.nan
    key = jax.random.key(0)
    floor = model_size_floor(key, data, programs, size, error, 1)
    assert float(floor.low) == pytest.approx(count[1] ** -0.5, rel=0.05)
    assert float(floor.high) == pytest.approx(count[1] ** -0.5, rel=0.05)
    assert model_size_floor(key, data, programs[:2], size, error[:2], 1) is None


def test_few_errors_and_models_with_columns_leave_the_floor_unknown():
    rng = np.random.default_rng(4)
    tokens = rng.integers(0, 9, (40, 4)).astype(np.int32)
    examples = lc.Examples(tokens, (tokens[:, 0] > 4).astype(np.int32))
    data = lc.Data(examples, examples, None, classes=2)
    seen = []

    class Counted(lc.models.MLP):
        def __call__(self, x, *, train=False, scale=1):
            seen.append(x.dtype)
            return super().__call__(x.astype(np.float32), train=train)

    program = lc.Program(
        Counted((3,), 2), lc.cross_entropy, optax.adam, cosine, 16, Budget(steps=1), epochs, model_columns=("scale",)
    )
    error = np.full((3, 3), np.nan)
    np.fill_diagonal(error, 0.1)
    sizes = np.array([10, 20, 40])
    assert model_size_floor(jax.random.key(0), data, [program] * 3, sizes, error, 0) is None
    assert set(seen) == {np.dtype(np.int32)}
