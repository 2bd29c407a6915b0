"""Splits by group: no group in two parts, shares and classes, a simulated person effect, files, bad input."""

import itertools

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lcjax as lc
from lcjax.curves.group_shift import group_shift
from lcjax.data.groups import check_groups, split_by_group
from lcjax.data.subsets import stratified_split

KEY = jax.random.key(0)


def cost(groups, labels, held, fraction):
    total = 0.0
    for one in [*np.unique(labels), None]:
        member = np.ones(len(labels), bool) if one is None else labels == one
        total += (np.sum(member & held) - fraction * member.sum()) ** 2 / member.sum()
    return total


def test_the_split_is_near_the_best_of_all():
    """Against every subset of ten groups."""
    rng, apart = np.random.default_rng(0), []
    for trial in range(10):
        sizes = rng.integers(2, 20, 10)
        groups, labels = np.repeat(np.arange(10), sizes), rng.integers(0, 3, sizes.sum())
        _, held_out = split_by_group(jax.random.key(trial), groups, 0.25, labels=labels)
        costs = [
            cost(groups, labels, np.isin(groups, subset), 0.25)
            for count in range(1, 6)
            for subset in itertools.combinations(range(10), count)
        ]
        apart.append(cost(groups, labels, np.isin(np.arange(groups.size), held_out), 0.25) - min(costs))
    assert np.mean(apart) < 0.3  # an example of a class that is one off costs about 0.02
    assert np.max(apart) < 1.0


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from([3, 8, 30]),
    fraction=st.floats(0.1, 0.6),
    classes=st.integers(0, 3),
    remain=st.integers(1, 2),
)
def test_no_group_is_in_both_parts_and_each_class_remains(seed, count, fraction, classes, remain):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(count), rng.integers(1, 15, count)))
    labels = None
    if classes:
        labels = rng.integers(0, classes, groups.size)
        labels[np.unique(groups, return_index=True)[1]] = np.arange(count) % classes  # in several groups each
        if count < 2 * classes:
            return
    rest, held_out = split_by_group(jax.random.key(seed), groups, fraction, labels=labels, remain=remain)
    np.testing.assert_array_equal(np.sort(np.concatenate([rest, held_out])), np.arange(groups.size))
    assert rest.dtype == held_out.dtype == np.int32
    assert not set(groups[rest]) & set(groups[held_out])
    assert np.unique(groups[rest]).size >= remain
    assert held_out.size
    if classes:
        assert set(labels[rest]) == set(labels)


def test_many_groups_have_every_class_at_its_share_and_keys_differ():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(200), rng.integers(1, 9, 200))
    labels = rng.integers(0, 4, groups.size)
    parts = [split_by_group(jax.random.key(seed), groups, 0.2, labels=labels)[1] for seed in (0, 0, 1)]
    share = np.bincount(labels[parts[0]]) / np.bincount(labels)
    np.testing.assert_allclose(share, 0.2, atol=0.01)
    np.testing.assert_array_equal(parts[0], parts[1])
    assert len(np.intersect1d(parts[0], parts[2])) < 0.5 * len(parts[0])


def person_effect(seed):
    """Return inputs near each person's own place, labels by person with some noise, and persons."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(60), 20)
    place = rng.normal(size=(60, 4))
    label = (place[:, 0] + 1.5 * rng.normal(size=60) > 0).astype(int)
    return place[person] + 0.3 * rng.normal(size=(1200, 4)), label[person], person


def wrong(inputs, labels, train, held_out):
    """Return the mistakes of the 1-nearest-neighbor rule."""
    distance = np.linalg.norm(inputs[held_out][:, None] - inputs[train], axis=-1)
    return labels[train][np.argmin(distance, axis=1)] != labels[held_out]


def test_validation_by_example_underestimates_the_error_on_new_persons():
    truth, by_example, by_group, shifts = [], [], [], []
    for seed in range(5):
        inputs, labels, person = person_effect(seed)
        known, new = split_by_group(jax.random.key(seed), person, 0.3, labels=labels)
        train, held_out = stratified_split(KEY, labels[known], 0.25)
        truth.append(wrong(inputs, labels, known, new).mean())
        mistakes = wrong(inputs, labels, known[train], known[held_out])
        by_example.append(mistakes.mean())
        shift = group_shift(mistakes, person[known[held_out]], wrong(inputs, labels, known[train], new), person[new])
        shifts.append(shift)
        train, held_out = split_by_group(KEY, person[known], 0.25, labels=labels[known])
        by_group.append(wrong(inputs, labels, known[train], known[held_out]).mean())
    assert np.mean(by_example) < 0.3 * np.mean(truth)
    assert abs(np.mean(by_group) - np.mean(truth)) < 0.1
    assert sum(shift.low > 0 for shift in shifts) >= 4
    assert "underestimates" in shifts[0].sentence()


def test_data_from_arrays_and_from_a_file_keep_groups_together(tmp_path):
    inputs, labels, person = person_effect(0)
    inputs[:, 0] = person  # to recognize it in the splits
    data = lc.data_from_arrays(inputs, labels, groups=person, normalize=False)
    members = [set(part.inputs[:, 0].astype(int)) for part in (data.train, data.validation, data.test)]
    assert sum(map(len, members)) == len(set.union(*members)) == 60
    np.testing.assert_allclose(
        [len(part.targets) / 1200 for part in (data.test, data.validation)], [0.2, 0.133], atol=0.02
    )
    names = np.array([f"p{number}" for number in person])
    np.savez(tmp_path / "a.npz", inputs=inputs, targets=labels, person=names)
    again = lc.load_data(f"npz:{tmp_path}/a.npz", groups="person")
    assert not {*again.train.inputs[:, 0]} & {*again.test.inputs[:, 0]}
    with pytest.raises(ValueError, match="holds inputs, targets, person, but no array site"):
        lc.load_data(f"npz:{tmp_path}/a.npz", groups="site")
    with pytest.raises(ValueError, match="'digits' has none named 'person'"):
        lc.load_data("digits", groups="person")


def test_groups_that_are_too_few_or_hold_a_class_alone_are_refused():
    x, y = np.arange(40.0)[:, None], np.arange(40) % 2
    with pytest.raises(
        ValueError, match="arrays: 3 parts without a common group need at least 3 groups, got 2 among 40"
    ):
        lc.data_from_arrays(x, y, groups=np.arange(40) // 20)
    three = lc.data_from_arrays(x, y, groups=np.searchsorted([4, 8], np.arange(40), "right"))
    assert sorted(len(part.targets) for part in (three.train, three.validation, three.test)) == [4, 4, 32]
    with pytest.raises(ValueError, match=r"2 groups cannot be split .* 2 classes remains: .* occur in \[1, 1\] groups"):
        split_by_group(KEY, y, 0.5, labels=y)
    with pytest.raises(ValueError, match=r"got float64 of shape \(39,\) for 40 examples"):
        check_groups(np.zeros(39), 40, parts=2)
    with pytest.raises(ValueError, match=r"1 of 3 examples have no group"):
        check_groups(np.array([1.0, np.nan, 2.0]), 3, parts=2)
    with pytest.raises(ValueError, match=r"40 groups and 39 labels"):
        split_by_group(KEY, np.arange(40), 0.5, labels=y[:39])


def test_groups_and_classes_that_would_fill_the_memory_are_refused():
    numbers = np.arange(6000)
    with pytest.raises(ValueError, match="6,000 groups of 6,000 classes are too many to balance, more than 33,554,432"):
        split_by_group(jax.random.key(0), numbers, 0.2, labels=numbers)
