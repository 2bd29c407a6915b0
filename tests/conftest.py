"""Shared by all tests: real data where it is at hand, Hypothesis without deadlines, how programs are compiled."""

import os
import time
from pathlib import Path
from typing import Any

import jax
import pytest
from hypothesis import HealthCheck, settings
from jax._src import compiler

settings.register_profile(
    "lcjax", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("lcjax")

SHARED = Path(os.environ.get("LCJAX_SHARED", Path(__file__).parents[2] / "shared"))
_ROOT = Path(__file__).parents[1]
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


class QuickCompilation:
    """Leaves out the optimization of machine code in tests of what is made with programs, here and in subprocesses.

    Compiling takes most of the time of all tests. Tests of trainings, models, studies and commands check which numbers
    are computed, kept and shown. Programs are compiled as users have them where they are themselves the subject: the
    numerics of kernels, curves, theory, complexity and compression; the engine, its table on many devices or one, and
    what XLA makes of a step. So they are in slow tests, on accelerators, and everywhere with LCJAX_TEST_OPTIMIZED set.
    """

    FOLDERS = frozenset({"cli", "data", "models", "plots", "studies", "training"})
    LEFT_OUT = frozenset({"test_engine.py", "test_placement.py", "test_compiled.py"})

    def __init__(self) -> None:
        self.quickly, self.options = False, {}
        self.flags = os.environ.get("XLA_FLAGS", "")
        compile_options = compiler.get_compile_options  # no public function sets options for all programs, for a while

        def with_options(*arguments: Any, env_options_overrides: Any = None, **named: Any) -> Any:
            options = {**self.options, **(env_options_overrides or {})}
            return compile_options(*arguments, env_options_overrides=options, **named)

        compiler.get_compile_options = with_options

    def covers(self, item: pytest.Item) -> bool:
        of_command = item.path.parent == _ROOT / "tests"
        return (
            (of_command or not self.FOLDERS.isdisjoint(item.path.parts[len(_ROOT.parts) : -1]))
            and item.path.name not in self.LEFT_OUT
            and item.get_closest_marker("slow") is None
            and "LCJAX_TEST_OPTIMIZED" not in os.environ
            and jax.default_backend() == "cpu"
        )

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=self.covers)  # few changes from one to the other

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        quickly = self.covers(item)
        if quickly == self.quickly:
            return
        from lcjax.kernels.compilation import _options

        self.quickly, self.options = quickly, _options() if quickly else {}
        # For subprocesses: XLA reads its flags but once, and has done so here by now.
        flags = [f"--{name}={str(value).lower()}" for name, value in self.options.items()]
        os.environ["XLA_FLAGS"] = " ".join([self.flags, *flags]).strip()
        jax.clear_caches()  # no test of one kind takes programs of the other


def pytest_configure(config: pytest.Config) -> None:
    for plugin in (CompiledPrograms(), QuickCompilation()):  # for examples in docstrings too, which lie outside tests/
        config.pluginmanager.register(plugin)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets; tests that need it are skipped where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"real data not at hand: no folder {folder} (set LCJAX_SHARED)")
    return folder
