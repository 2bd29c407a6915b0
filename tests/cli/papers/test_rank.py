"""`lcjax rank`: the command on scikit-learn's digits, and the arguments that it refuses."""

import dataclasses
import io
import json

import jax
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from lcjax.cli import app
from lcjax.cli.papers.rank_report import print_hierarchy
from lcjax.studies.ranking import tasks as hestness_tasks
from lcjax.studies.ranking.rank import Hierarchy
from lcjax.studies.ranking.scales import SMOKE
from lcjax.studies.ranking.task_curve import TaskScores, fit_task


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    """Keep the settings of this process unchanged, and do not write to the user's cache."""
    monkeypatch.setenv("LCJAX_CACHE", "")


@pytest.fixture
def small(monkeypatch):
    """Reduce the task of images to one network, one learning rate and few steps."""

    def images(*arguments):
        task = hestness_tasks._images(*arguments)
        published = (*task.published, ("error", -0.3))  # a second value, as in the paper's tables for some tasks
        return dataclasses.replace(task, programs=task.programs[:1], rates=task.rates[:1], published=published)

    extent = dataclasses.replace(SMOKE.extents["images"], steps=60, epochs=0)
    extents = {**SMOKE.extents, "images": extent}
    monkeypatch.setattr("lcjax.studies.ranking.scales.SMOKE", dataclasses.replace(SMOKE, extents=extents))
    monkeypatch.setitem(hestness_tasks.TASKS, "images", images)


@pytest.mark.slow
def test_digits(small, tmp_path):
    arguments = ["rank", "--task", "images=digits", "--seeds", "2", "--output", str(tmp_path)]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "hierarchy.json").read_text())
    curve = written["hierarchy"]["curves"]["images"]["error"]
    exponent = written["hierarchy"]["ranking"]["exponent"][0]
    assert -1 < exponent < 0
    assert f"{exponent:.3f}" in result.output
    law = written["laws"]["images"]["error"]
    assert law["envelope"]["exponent"] == exponent
    assert f"{law['nets'][0]['offset']:.3g}" in result.output
    assert "-0.309, -0.300" in result.output  # the paper's
    assert curve["guess"] > max(e for e, used in zip(curve["curve"]["error"], curve["fitted"], strict=True) if used)
    for name in ("curves.png", "exponents.png"):
        assert (tmp_path / name).stat().st_size > 10_000
    again = CliRunner().invoke(app, [*arguments, "--json", "--resume"])
    assert json.loads(again.stdout)["hierarchy"]["ranking"]["exponent"] == written["hierarchy"]["ranking"]["exponent"]


@pytest.mark.parametrize("name", ["nested", "independent"])
def test_shards_are_passed_on(monkeypatch, tmp_path, name):
    def ranked(key, tasks, *, shards, **others):
        raise ValueError(f"to be drawn by {shards.__name__}")

    monkeypatch.setattr("lcjax.studies.ranking.rank.rank", ranked)
    arguments = ["rank", "--task", "images=digits", "--output", str(tmp_path), "--shards", name]
    result = CliRunner().invoke(app, arguments)
    assert f"to be drawn by {name}_shards" in result.output


@pytest.mark.slow
@pytest.mark.parametrize("mistakes", [0, 2])
def test_an_exponent_that_rests_on_a_score_of_zero_is_named(mistakes):
    task = hestness_tasks.hestness_task("images", "digits", SMOKE)
    size = np.array([20, 40, 80, 160])
    errors = {"error": np.array([[[80.0, 40, 20, mistakes], [84, 41, 22, mistakes]]]) / 359}
    guess = {"error": 0.9}
    scores = TaskScores(size, size.astype(float), np.array([100]), np.array([0.1]), errors, errors, guess, guess, 359)
    curve = fit_task(jax.random.key(0), scores, "error", draws=20)
    hierarchy = Hierarchy({}, {"images": {"error": curve}}, None, (), float("nan"), float("nan"))
    output = io.StringIO()
    print_hierarchy(Console(file=output, width=200), hierarchy, [task], "smoke")
    assert ("images, error: the score is 0" in output.getvalue()) == (mistakes == 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "images"], "Give --folder"),
        (["--task", "chess=here"], "no task 'chess'"),
        (["--folder", "/no/such/folder"], "'images' needs /no/such/folder/mnist"),
        ([], "Give --folder"),
    ],
)
def test_bad_commands(arguments, message):
    result = CliRunner().invoke(app, ["rank", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert message in result.output
