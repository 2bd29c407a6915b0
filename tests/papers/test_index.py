"""The index of the papers names what exists, and holds every paper that lcjax repeats."""

import importlib
from pathlib import Path

import pytest

from lcjax import cli
from lcjax.papers.index import INDEX

RESULTS = Path(__file__).parents[2] / "docs" / "results"


@pytest.mark.parametrize("place", INDEX, ids=lambda place: f"{place.paper}, {place.place}")
def test_functions_commands_and_results_exist(place):
    for function in place.functions:
        module, _, name = function.rpartition(".")
        assert callable(getattr(importlib.import_module(f"lcjax.{module}"), name))
    if place.command:
        assert place.command.split()[1] in {c.callback.__name__ for c in cli.app.registered_commands}
    for folder in place.results:
        assert (RESULTS / folder).is_dir()


def test_every_place_is_listed_once():
    assert len({(place.paper, place.place) for place in INDEX}) == len(INDEX)
    assert len({place.paper for place in INDEX}) == 4
