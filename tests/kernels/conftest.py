"""Every test of this folder runs in both precisions."""

import jax
import pytest


@pytest.fixture(autouse=True, params=[False, True], ids=["x32", "x64"])
def x64(request):
    with jax.enable_x64(request.param):
        yield request.param
