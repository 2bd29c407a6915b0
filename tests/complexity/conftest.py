"""Fixture that runs a test in both precisions."""

import jax
import pytest


@pytest.fixture(params=[pytest.param(False, marks=pytest.mark.slow, id="x32"), pytest.param(True, id="x64")])
def x64(request):
    with jax.enable_x64(request.param):
        yield request.param
