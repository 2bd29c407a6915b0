"""Cautions for rare classes: splits of known counts, wording, cases without a caution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lcjax as lc
from lcjax.data.balance import FEW, check_classes, check_targets, class_counts, require_classes


def data_with(train, validation, test, **fields):
    """Return data with these numbers of examples of each class; a split of None is withheld."""
    parts = [
        None if counts is None else lc.Examples(np.zeros((sum(counts), 1)), np.repeat(np.arange(len(counts)), counts))
        for counts in (train, validation, test)
    ]
    return lc.Data(*parts, classes=len(train), **fields)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (
            ([392, 8], [120, 0], [100, 0]),
            [
                "The validation split has no example of class 1 (8 of 400 in training): an error of 0 there says "
                "nothing about this class, and neither does a forecast or a target size from it.",
                "The test split has no example of class 1 (8 of 400 in training): an error of 0 there says nothing "
                "about this class.",
            ],
        ),
        (
            ([392, 8], [120, 0], [97, 3]),
            [
                "The validation split has no example of class 1 (8 of 400 in training): an error of 0 there says "
                "nothing about this class, and neither does a forecast or a target size from it."
            ],
        ),
        (
            ([392, 8], [97, 3], [120, 0]),
            [
                "The test split has no example of class 1 (8 of 400 in training): an error of 0 there says nothing "
                "about this class."
            ],
        ),
        (
            ([331, 2], [67, 0], [99, 1]),
            [
                "The training set has only 2 examples of class 1 (of 333): the model hardly learns this class.",
                "The validation split has no example of class 1 (2 of 333 in training): an error of 0 there says "
                "nothing about this class, and neither does a forecast or a target size from it.",
                "The test split has only 1 example of class 1 (of 100): its error on this class is hardly known.",
            ],
        ),
        (
            ([164, 82, 4], [33, 16, 1], [30, 30, 0]),
            [
                "The validation split has only 1 example of class 2 (of 50): its error on this class is hardly known.",
                "The test split has no example of class 2 (4 of 250 in training): an error of 0 there says nothing "
                "about this class.",
            ],
        ),
    ],
    ids=["validation and test", "validation", "test", "three positives", "third class"],
)
def test_rare_classes_of_both_kinds_are_named_with_their_counts(counts, expected):
    data = data_with(*counts)
    assert check_classes(data) == expected
    named = check_classes(data, names=["negative", "positive", "other"][: data.classes])
    assert [text.replace("class 1", "positive").replace("class 2", "other") for text in expected] == named


def test_many_absent_classes_are_counted_and_several_rare_ones_joined():
    data = data_with([9] * 10, [0] * 8 + [1, 2], None)
    absent, rare = check_classes(data)
    assert absent.startswith("The validation split has no example of class 0 (9 of 90 in training), class 1 (")
    assert "class 4 (9 of 90 in training) and 3 other classes: an error of 0 there says nothing about these" in absent
    assert rare == (
        "The validation split has only 1 and 2 examples each of class 8, class 9 (of 3): its error on these classes is "
        "hardly known."
    )
    assert list(class_counts(data)) == ["train", "validation"]
    empty = data_with([5, 0], [4, 4], None)
    assert check_classes(empty) == ["The training set has no example of class 1: the model cannot learn this class."]


@given(counts=st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3), min_size=3, max_size=3))
def test_there_is_a_caution_exactly_where_a_class_is_rare(counts):
    if any(sum(part) == 0 for part in counts):
        return
    cautions = check_classes(data_with(*counts))
    expected = sum(any(n == 0 for n in part) + any(0 < n < FEW for n in part) for part in counts)
    assert len(cautions) == expected


def test_balanced_data_regressions_and_sequences_have_no_caution():
    assert check_classes(lc.load_data("digits")) == []
    real = lc.data_from_arrays(np.random.default_rng(0).normal(size=(40, 2)), np.linspace(0, 1, 40))
    assert check_classes(real) == []
    tokens = lc.Examples(np.zeros((4, 3), np.int32), np.zeros((4, 3), np.int32))
    assert check_classes(lc.Data(tokens, tokens, None, classes=5)) == []
    with pytest.raises(ValueError, match="10 classes and 1 names"):
        check_classes(lc.load_data("digits"), names=["one"])
    with pytest.raises(ValueError, match="at least 1, got 0"):
        check_classes(real, few=0)


def test_regressions_are_cautioned_by_the_spread_of_their_targets():
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(200, 2)), rng.normal(size=200)
    assert check_targets(lc.data_from_arrays(inputs, targets)) == []
    for scale, part in ((1e5, "nearly every prediction will be an error"), (1e-3, "closer than that to 100 %")):
        (caution,) = check_targets(lc.data_from_arrays(inputs, scale * targets))
        assert part in caution
        assert check_targets(lc.data_from_arrays(inputs, scale * targets, tolerance=0.1 * scale)) == []
    (caution,) = check_targets(lc.data_from_arrays(inputs, np.arange(200) % 4 + 0.0))
    assert "only 4 different values, all whole" in caution


def test_many_classes_are_cautioned_unless_they_have_many_examples():
    for n, count in ((150, 1), (600, 0)):
        data = lc.data_from_arrays(np.zeros((n, 1)), np.arange(n) % 15)
        assert sum("The targets were taken as 15 classes" in caution for caution in check_targets(data)) == count


def test_a_target_needs_every_class_in_the_splits_that_answer():
    labels, few = np.arange(60) % 3, np.arange(12) % 2
    inputs, small = np.zeros((60, 1)), np.zeros((12, 1))
    data = lc.data_from_arrays(inputs, labels, validation=(inputs, labels), test=(small, few))
    require_classes(data, "validation")
    with pytest.raises(ValueError, match=r"the test split has no example of class 2 \(20 of 60 in training\)"):
        require_classes(data, "validation", "test")
    require_classes(lc.data_from_arrays(inputs, labels / 2), "validation", "test")
