"""Shared by all tests: real data where it is at hand, Hypothesis without deadlines."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "lcjax", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("lcjax")

SHARED = Path(os.environ.get("LCJAX_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets; tests that need it are skipped where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"real data not at hand: no folder {folder} (set LCJAX_SHARED)")
    return folder
