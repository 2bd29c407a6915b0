"""Ranked tasks: validation, parameters, and the chance error."""

import dataclasses

import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.ranking.task import chance_error


def part(*targets):
    return lc.Examples(np.zeros((len(targets), 1), np.float32), np.array(targets))


def test_chance_is_scored_on_the_test_set_as_the_curve_is():
    data = lc.Data(part(0, 0, 1), part(0, 0), part(1, 1, 0, 1), classes=2)
    assert chance_error(data, "error") == 0.75
    assert chance_error(data, "loss") == pytest.approx(-(3 * np.log(2 / 5) + np.log(3 / 5)) / 4)
    assert chance_error(dataclasses.replace(data, test=None), "error") == 0.0
    real = lc.Data(part(0.0, 1.0, 5.0), part(1.0, 1.0), part(1.0, 3.0, 0.95, 9.0), classes=0, tolerance=0.1)
    assert chance_error(real, "error") == 0.5


def test_chance_names_the_most_frequent_classes():
    data = lc.Data(part(*range(7), 6, 5, 6), part(0), part(*range(7)), classes=7)
    assert chance_error(data, "error") == pytest.approx(6 / 7)  # 6
    assert chance_error(data, "top5") == pytest.approx(2 / 7)  # 6, 5, 0, 1, 2


def test_padding_is_not_scored():
    tokens = np.array([[0, 1, -1], [1, 1, -1]])
    sequences = lc.Examples(np.zeros((2, 3), np.int32), tokens)
    data = lc.Data(sequences, sequences, sequences, classes=2)
    assert chance_error(data, "error") == 0.25


def test_parameters_are_those_of_the_models(tasks):
    np.testing.assert_array_equal(tasks[0].parameters(), [6 * 2 + 2, 6 * 8 + 8 + 8 * 2 + 2])
    tokens = lc.Examples(np.zeros((300, 6), np.int32), np.zeros((300, 6), np.int32))
    data = lc.Data(tokens, tokens, tokens, classes=5)
    model = lc.models.CharacterLanguageModel(5, 4, depth=1)  # embeds integer tokens
    program = dataclasses.replace(tasks[0].programs[0], model=model)
    task = dataclasses.replace(tasks[0], data=data, programs=(program,))
    assert task.parameters()[0] == lc.models.parameter_count(model, np.zeros((1, 6), np.int32))


def test_paper_exponents_are_those_of_the_metric(tasks):
    task = dataclasses.replace(tasks[0], published=(("loss", -0.1), ("error", -0.2), ("loss", -0.3)))
    assert task.paper_exponents("loss") == (-0.1, -0.3)
    assert task.paper_exponents("top5") == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "bleu"}, "'bleu'; the metrics are loss, error, top5"),
        ({"sizes": (16, 300)}, r"in \[1, 256\]"),
        ({"sizes": (0, 16)}, r"in \[1, 256\]"),
        ({"sizes": (32, 16)}, "ascending"),
        ({"sizes": (16, 16, 32)}, "ascending"),
        ({"sizes": (16,)}, "at least two ascending"),
        ({"rates": ()}, "at least one program and one learning rate"),
        ({"programs": ()}, "at least one program and one learning rate"),
    ],
)
def test_bad_tasks(tasks, changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(tasks[0], **changes)


def test_the_largest_shard_may_be_the_training_set(tasks):
    dataclasses.replace(tasks[0], sizes=(1, 256))


def test_a_task_needs_a_test_split(tasks):
    with pytest.raises(ValueError, match="no test split"):
        dataclasses.replace(tasks[0], data=tasks[0].data.without_test())
