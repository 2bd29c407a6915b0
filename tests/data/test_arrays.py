"""Data sets from arrays: checks, completion of the splits, normalization."""

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.data.arrays import limit_training, moments, split_data
from lcjax.data.streamed import Streamed
from lcjax.data.subsets import HoldOut, random_order, stratified_order, stratified_split

RNG = np.random.default_rng(2)
X, Y = RNG.normal(size=(60, 4)), np.arange(60) % 3
HOLED = np.where(np.arange(240).reshape(60, 4) == 50, np.nan, X)


def part_sizes(data):
    return [len(part.targets) for part in (data.train, data.validation, data.test)]


def test_test_and_validation_are_held_out_in_turn_each_from_its_own_stream():
    rows, labels = np.arange(120.0)[:, None], np.repeat([3, 7], [80, 40])
    data = lc.data_from_arrays(
        rows, labels, seed=5, validation_fraction=0.25, test_fraction=0.1, normalize=False, name="rows"
    )
    key = jax.random.key(5)
    rest, test = stratified_split(jax.random.fold_in(key, 0), labels, 0.1)
    train, validation = stratified_split(jax.random.fold_in(key, 1), labels[rest], 0.25)
    for part, expected in ((data.train, rest[train]), (data.validation, rest[validation]), (data.test, test)):
        np.testing.assert_array_equal(part.inputs[:, 0], expected)
        np.testing.assert_array_equal(part.targets, expected >= 80)
        assert part.targets.dtype == np.int32
    assert part_sizes(data) == [81, 27, 12]
    assert (data.offset, data.scale, data.classes, data.name) == (0.0, 1.0, 2, "rows")


def test_defaults():
    data = lc.data_from_arrays(X, Y)
    assert part_sizes(data) == [40, 8, 12]
    same = lc.data_from_arrays(
        X, Y, seed=0, validation_fraction=1 / 6, test_fraction=0.2, normalize=True, name="arrays"
    )
    assert data.fingerprint() == same.fingerprint() != lc.data_from_arrays(X, Y, seed=1).fingerprint()


def test_splits_that_are_given_are_kept():
    data = lc.data_from_arrays(X, Y, validation=(X[:9] + 1, Y[:9]), test=(X[:6] + 2, Y[:6]))
    assert part_sizes(data) == [60, 9, 6]
    np.testing.assert_array_equal(data.validation.inputs, (X[:9] + 1).astype(np.float32))
    np.testing.assert_array_equal(data.test.inputs, (X[:6] + 2).astype(np.float32))


def test_a_regression_is_split_at_random():
    data = lc.data_from_arrays(X, X[:, 0], seed=3)
    order = random_order(jax.random.fold_in(jax.random.key(3), 0), 60)
    np.testing.assert_array_equal(data.test.targets, X[np.sort(order[:12]), 0].astype(np.float32))
    assert (data.classes, data.tolerance, part_sizes(data)) == (0, 0.1, [40, 8, 12])
    assert data.train.inputs.dtype == data.train.targets.dtype == np.float32
    np.testing.assert_array_equal(data.train.targets, data.train.inputs[:, 0])


@pytest.mark.parametrize("shape", [(5000, 3), (40, 5, 4, 3), (40, 5, 4)], ids=["table", "colour", "grey"])
def test_normalization_is_by_columns_or_channels_of_the_training_set(shape):
    inputs = RNG.integers(0, 256, shape).astype(np.uint8)
    data = lc.data_from_arrays(inputs, np.arange(len(inputs)) % 2, test=(inputs, np.arange(len(inputs)) % 2))
    x = data.train.inputs.astype(np.float64)
    assert data.train.inputs.dtype == np.uint8
    x = x[..., None] if x.ndim == 3 else x
    axes = tuple(range(x.ndim - 1))
    assert data.offset.shape == data.scale.shape == x.shape[-1:]
    np.testing.assert_allclose(data.offset, x.mean(axis=axes), rtol=1e-6)
    np.testing.assert_allclose(data.scale, 1 / x.std(axis=axes), rtol=1e-6)


def test_constant_columns_are_only_centred():
    x = np.c_[X, np.full(60, 7.0), np.zeros(60)]
    data = lc.data_from_arrays(x, Y)
    np.testing.assert_allclose(data.offset[4:], [7, 0])
    np.testing.assert_allclose(data.scale[4:], [1, 1])


def test_streamed_inputs_are_normalized_by_an_evenly_spaced_sample():
    squares = Streamed(lambda i: np.array([i * i], np.float32), np.arange(9000), (1,), np.dtype("f4"), "squares")
    data = split_data(
        {"train": (squares, np.arange(9000) % 2), "test": (squares, np.arange(9000) % 2)},
        "squares",
        HoldOut(validation_fraction=0.5),
        normalize=True,
    )
    assert isinstance(data.train.inputs, Streamed)
    index = np.unique(np.linspace(0, 4499, 4096).astype(int))
    x = data.train.inputs.index[index].astype(np.float64) ** 2
    np.testing.assert_allclose(data.offset, [x.mean()], rtol=1e-5)
    np.testing.assert_allclose(data.scale, [1 / x.std()], rtol=1e-5)


def test_moments_are_those_of_all_parts_together():
    parts = [RNG.normal(3, 2, (n, 5, 2)) for n in (7, 1, 4)]
    mean, deviation = moments(parts, (0, 1))
    together = np.concatenate(parts)
    np.testing.assert_allclose(mean, together.mean(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(deviation, together.std(axis=(0, 1)), rtol=1e-12)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": (X, np.ones(60, int))}, "set has only one class: every training label is 1"),
        ({"train": (HOLED, Y)}, r"set \(train\): 1 rows of the inputs are not finite, the first is row 12"),
        ({"train": (np.full((60, 2), 1e39), Y)}, "60 rows of the inputs are not finite"),
        ({"train": (X, np.where(Y == 0, np.inf, 0.5))}, "20 rows of the targets are not finite"),
        ({"train": (X, Y[:59])}, "60 inputs and 59 targets"),
        ({"train": (X, np.eye(3)[Y] / 2)}, r"or one-hot, got float64 of shape \(60, 3\) whose rows are not a single 1"),
        ({"train": (X, np.eye(3)[Y] + np.eye(3)[0])}, "whose rows are not a single 1 among zeros"),
        ({"train": (X, Y.astype(str)[:, None, None])}, r"one number per example, got <U.* of shape \(60, 1, 1\)"),
        ({"train": (X, Y.astype("M8[s]"))}, "one number per example, got datetime64"),
        ({"train": (np.zeros((60, 3, 8, 5)), Y)}, r"have their channels first; .*np\.moveaxis\(inputs, 1, -1\)"),
        (
            {"train": (X, np.arange(60))},
            r"60 training targets are whole numbers with 60 different values.*--regression",
        ),
        ({"train": (X, np.where(Y == 0, 1e39, 0.5))}, "20 rows of the targets are not finite"),
        ({"train": (X, Y), "test": (X, Y.astype(str))}, "integers in some splits and text in others"),
        ({"train": (X.astype(str), Y)}, "inputs must be numbers with one row per example, got <U"),
        ({"train": (X[:, 0], Y)}, r"got float64 of shape \(60,\)"),
        ({"train": (X[:, :0], Y)}, r"inputs are empty, of shape \(60, 0\)"),
        ({"train": (X, Y), "test": (X[:, :3], Y)}, "differ in the shape of an input"),
        ({"train": (X, Y), "test": (X.astype(np.uint8), Y)}, "bytes in some splits and other numbers in others"),
        ({"train": (X, Y), "test": (X, Y + 1)}, "label 3 of the test split does not occur in the training split"),
        ({"train": (X, Y), "test": (X, Y / 2)}, "integers in some splits and numbers in others"),
    ],
)
def test_bad_arrays_are_refused(splits, message):
    with pytest.raises(ValueError, match=message):
        split_data(splits, "set", HoldOut(), normalize=True)


@pytest.mark.parametrize(
    "targets",
    [
        Y[:, None],
        np.eye(3, dtype=int)[Y],
        np.eye(3)[Y],
        np.array(["cat", "dog", "owl"])[Y],
        np.array([b"cat", b"dog", b"owl"])[Y],
    ],
    ids=["column", "one-hot", "one-hot floats", "text", "bytes"],
)
def test_other_forms_of_labels_are_the_same_classes(targets):
    data = lc.data_from_arrays(X, targets)
    assert data.fingerprint() == lc.data_from_arrays(X, Y).fingerprint()


def test_the_task_follows_the_targets_unless_it_is_given():
    whole = np.arange(60)
    data = lc.data_from_arrays(X, whole, regression=True, tolerance=5)
    assert (data.classes, data.tolerance, data.train.targets.dtype) == (0, 5, np.float32)
    assert lc.data_from_arrays(X, Y.astype(float)).classes == 0
    classes = lc.data_from_arrays(X, Y.astype(float), regression=False)
    assert classes.fingerprint() == lc.data_from_arrays(X, Y).fingerprint()
    splits = {"train": (X, X[:, 0]), "test": (X, Y)}
    assert split_data(splits, "set", HoldOut(), normalize=True, regression=True).classes == 0
    assert lc.data_from_arrays(X, whole // 3, regression=False, test=(X, whole // 3)).classes == 20
    for targets, regression, message in (
        (Y / 2, False, r"the target 0\.5 is not a whole number"),
        (Y.astype(str), True, "targets are text"),
    ):
        with pytest.raises(ValueError, match=message):
            lc.data_from_arrays(X, targets, regression=regression)
    with pytest.raises(ValueError, match="tolerance must be a positive number in the units of the targets, got 0"):
        lc.data_from_arrays(X, X[:, 0], tolerance=0)


@pytest.mark.parametrize("dtype", ["f8", "i8"])
def test_a_column_that_varies_little_about_a_large_mean_keeps_its_digits(dtype):
    """Seconds since 1970, which float32 rounds to multiples of 128."""
    seconds = (1.7e9 + 20 * RNG.normal(size=60)).astype(dtype)
    x = np.c_[seconds, RNG.normal(size=60), np.full(60, 0.1), np.full(60, 1.7e9)]
    data = lc.data_from_arrays(x, Y, test=(x, Y))
    normalized = (data.test.inputs - data.offset) * data.scale
    train = (data.train.inputs - data.offset) * data.scale
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train[:, :2].std(axis=0), 1, atol=1e-5)
    difference = x[:, 0] - x[0, 0]
    np.testing.assert_allclose(normalized[:, 0] - normalized[0, 0], difference * data.scale[0], atol=1e-5)
    np.testing.assert_array_equal(data.test.inputs[:, 1:], x[:, 1:].astype(np.float32))
    images = 1.7e9 + 20 * RNG.normal(size=(60, 2, 3))
    shifted = lc.data_from_arrays(images, Y, test=(images, Y)).test.inputs
    np.testing.assert_allclose(shifted - shifted[0, 0, 0], images - images[0, 0, 0], atol=1e-4)
    with pytest.raises(ValueError, match=r"column 0 of the inputs varies by .* about 1\.7e\+09, .* subtract its mean"):
        lc.data_from_arrays(x, Y, normalize=False)


def test_a_class_that_the_split_takes_from_training_is_refused():
    rare = np.where(np.arange(60) == 0, 5, Y)
    assert lc.data_from_arrays(X, rare).classes == 4
    with pytest.raises(ValueError, match="class 3 has too few examples"):
        lc.data_from_arrays(X, rare, test_fraction=0.9)


def test_labels_are_numbered_in_ascending_order():
    data = lc.data_from_arrays(np.arange(60)[:, None], np.array([9, -1])[Y % 2], normalize=False)
    np.testing.assert_array_equal(data.train.targets, Y[data.train.inputs[:, 0].astype(int)] % 2 == 0)


@pytest.mark.parametrize("classes", [3, 0])
def test_limited_training_sets_are_nested_and_the_rest_stays(classes):
    data = lc.data_from_arrays(X, Y if classes else X[:, 1])
    few, more = (limit_training(data, size, seed=4) for size in (9, 21))
    key = jax.random.fold_in(jax.random.key(4), 2)
    order = stratified_order(key, data.train.targets) if classes else random_order(key, 40)
    for part, size in ((few, 9), (more, 21)):
        np.testing.assert_array_equal(part.train.targets, data.train.targets[np.sort(order[:size])])
        np.testing.assert_array_equal(part.train.inputs, data.train.inputs[np.sort(order[:size])])
        assert part.validation is data.validation
        assert part.offset is data.offset
    assert len(limit_training(data, 40).train.targets) == 40
    smallest = max(classes, 2)
    assert len(limit_training(data, smallest).train.targets) == smallest
    for size in (smallest - 1, 41):
        with pytest.raises(ValueError, match=rf"must be {smallest} to 40, got {size}"):
            limit_training(data, size)
    default, zero = limit_training(data, 9), limit_training(data, 9, seed=0)
    np.testing.assert_array_equal(default.train.inputs, zero.train.inputs)


def test_splits_are_random_only_if_both_were_drawn_here_and_without_groups():
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(120, 2)), np.tile([0, 1], 60)
    pair = inputs[:20], labels[:20]
    assert lc.data_from_arrays(inputs, labels).split_at_random
    assert not lc.data_from_arrays(inputs, labels, test=pair).split_at_random
    assert not lc.data_from_arrays(inputs, labels, validation=pair).split_at_random
    assert not lc.data_from_arrays(inputs, labels, groups=np.arange(120) // 4).split_at_random
