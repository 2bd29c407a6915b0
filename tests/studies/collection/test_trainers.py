"""Commands and estimators as trainers."""

import json
import sys

import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.collection.trainers.command import Command
from lcjax.studies.collection.trainers.estimator import Estimator, gather_scores
from lcjax.studies.collection.trainers.trainer import check_values, identify


def python(code, *words, **options):
    return Command((sys.executable, "-c", code, *words), **options)


def test_places_are_filled_and_the_last_line_of_json_is_read():
    code = """
import json, sys
size, seed, file = sys.argv[1:]
indices = [int(line) for line in open(file)]
print(json.dumps({"error": 0.9}))
print(json.dumps({"size": int(size), "seed": int(seed), "test": {"sum": sum(indices)}, "done": True, "name": "a"}))
print("{broken", "[1]")
"""
    values = python(code, "{size}", "{seed}", "{indices}")(7, np.array([2, 3, 5]))
    assert values == {"size": 3, "seed": 7, "test.sum": 10}


def test_numbers_that_are_not_finite_are_read_as_python_writes_them():
    values = python('print(\'{"a": NaN, "b": Infinity, "c": 1e3}\')', "{size}")(0, np.arange(2))
    assert np.isnan(values["a"])
    assert (values["b"], values["c"]) == (np.inf, 1000)


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        (python("import sys; sys.exit('no \\x1b[31mdata')", "{size}"), r"exit code 1: no \\x1b\[31mdata"),
        (python("print('done')", "{size}"), "no line of JSON with a number"),
        (python('print(\'{"a": "b"}\')', "{size}"), "no line of JSON with a number"),
        (python("import time; time.sleep(60)", "{size}", timeout=0.3), "took longer than 0.3 seconds"),
        (Command(("/no/such/program", "{size}")), "cannot be started: No such file"),
    ],
    ids=["exit", "no json", "no number", "slow", "absent"],
)
def test_failures_are_one_line(trainer, message):
    with pytest.raises(ValueError, match=message) as error:
        trainer(0, np.arange(3))
    assert "\n" not in str(error.value)


def test_a_command_needs_a_place_for_the_size():
    for words in ((), ("python", "train.py", "{seed}")):
        with pytest.raises(ValueError, match=r"must contain \{size\} or \{indices\}"):
            Command(words)


def test_words_are_not_a_shell_and_indices_are_not_a_format():
    code = "import sys, json; print(json.dumps({'a': len(sys.argv[1])}))"
    assert python(code, "$(echo {size}); {0} {unknown}")(0, np.arange(4)) == {"a": len("$(echo 4); {0} {unknown}")}


def test_an_estimator_is_cloned_seeded_and_scored_on_the_test_split():
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import FunctionTransformer

    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(400, 2, 2))
    data = lc.data_from_arrays(inputs, (inputs[:, 0, 0] > 0).astype(int))
    model = LogisticRegression()
    values = Estimator(model, data, ("accuracy", "roc_auc", "neg_log_loss"))(0, np.arange(100))
    assert set(values) == {"accuracy", "auc", "log_loss"}
    assert values["accuracy"] > 0.85
    assert values["log_loss"] > 0
    assert not hasattr(model, "coef_")
    random = Estimator(DummyClassifier(strategy="uniform"), data)
    assert random(1, np.arange(50)) == random(1, np.arange(50)) != random(2, np.arange(50))
    assert identify(random) == identify(Estimator(DummyClassifier(strategy="uniform"), data))
    assert identify(random) != identify(Estimator(DummyClassifier(strategy="prior"), data))
    json.dumps(identify(random))
    nested = [Estimator(FunctionTransformer(func), data) for func in (np.abs, np.abs, np.square)]
    assert identify(nested[0]) == identify(nested[1]) != identify(nested[2])
    assert "0x" not in json.dumps(identify(nested[0]))


def test_regression_is_scored_in_the_unit_of_the_targets():
    from sklearn.linear_model import LinearRegression

    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(300, 3))
    targets = 1000 * inputs @ [1.0, 2.0, 3.0] + 50 * rng.normal(size=300)
    values = Estimator(LinearRegression(), lc.data_from_arrays(inputs, targets))(0, np.arange(150))
    assert list(values) == ["rmse"]
    assert 40 < values["rmse"] < 65


@pytest.mark.parametrize("values", [0.5, [0.5], {}, {1: 0.5}, {"a": "b"}, {"a": [1, 2]}, None])
def test_what_is_not_metrics_by_name_is_refused(values):
    with pytest.raises(ValueError, match="metrics"):
        check_values(values)
    assert check_values({"a": np.float32(0.5), "b": [1]}) == {"a": 0.5, "b": 1.0}


def test_the_result_of_learning_curve_is_a_curve():
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.model_selection import learning_curve

    inputs, targets = load_iris(return_X_y=True)
    options = {"train_sizes": [30, 60, 100], "cv": 4, "shuffle": True, "random_state": 0}
    sizes, _, scores = learning_curve(LogisticRegression(max_iter=1000), inputs, targets, **options)
    table = gather_scores(sizes, scores)
    np.testing.assert_allclose(table.curves().curve.error, [1 - scores.mean(axis=1)])
    assert table.curves().curve.replicates.shape == (1, 4, 3)
    scoring = "neg_root_mean_squared_error"
    sizes, _, scores = learning_curve(LinearRegression(), inputs[:, :3], inputs[:, 3], scoring=scoring, **options)
    np.testing.assert_allclose(
        gather_scores(sizes, scores, scoring=scoring).curves("rmse").curve.error, [(scores**2).mean(1)]
    )
    with pytest.raises(ValueError, match=r"got shapes \(2, 4\) and \(3,\)"):
        gather_scores(sizes, scores[:2])
