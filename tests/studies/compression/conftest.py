"""A small compression study, shared by the tests of its parts."""

import types

import pytest

import lcjax as lc
from lcjax.studies.compression import pictures
from lcjax.studies.compression.losses import Grid
from lcjax.studies.compression.recipes import FullyConnectedRecipe


@pytest.fixture(scope="session")
def study(tmp_path_factory, key, digits):
    model, events = lc.models.MLP((12,), 10), []
    options = {
        "losses": ("H", "S+W1+LCL"),
        "grid": Grid((1e-3, 1e-1), (1e-4,), (0.1,)),
        "recipe": FullyConnectedRecipe(3, thresholds=12),
        "seeds": 2,
        "folder": str(tmp_path_factory.mktemp("compress")),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "PER_CLASS", 5)
        result = lc.compress(key, digits, model, on_progress=events.append, **options)
    return types.SimpleNamespace(data=digits, model=model, options=options, result=result, events=events)
