"""Shared by all tests: real data where it is at hand, Hypothesis without deadlines, room for compiled programs."""

import os
import time
from pathlib import Path

import jax
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "lcjax", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("lcjax")

SHARED = Path(os.environ.get("LCJAX_SHARED", Path(__file__).parents[2] / "shared"))
_MAPPINGS, _MOST_MAPPINGS = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")


class CompiledPrograms:
    """Forgets compiled programs before they fill the table of memory mappings.

    Every program compiled for the CPU holds some ten mappings, Linux allows a process 65,530, and XLA crashes at the
    next one. The whole suite would get there. Counting the mappings takes tens of milliseconds: every few seconds is
    enough, in which the quarter that is left cannot be filled.
    """

    def __init__(self) -> None:
        self.counted = time.monotonic()

    def pytest_runtest_teardown(self) -> None:
        if time.monotonic() < self.counted + 5 or not _MOST_MAPPINGS.exists():
            return
        if _MAPPINGS.read_bytes().count(b"\n") > 0.75 * int(_MOST_MAPPINGS.read_text()):
            jax.clear_caches()
        self.counted = time.monotonic()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(CompiledPrograms())  # for the examples in docstrings too, which lie outside tests/


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets; tests that need it are skipped where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"real data not at hand: no folder {folder} (set LCJAX_SHARED)")
    return folder
