"""Real data if present, Hypothesis without deadlines, cheap compilation, and a bound on each worker's memory."""

import ctypes
import gc
import os
import shutil
import tempfile
from pathlib import Path

import jax
import jaxlib.version
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "lcjax", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("lcjax")

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("LCJAX_SHARED", ROOT.parent / "shared"))
LARGEST_WORKER = 2.2 * 2**30  # resident bytes above which a worker discards its compiled programs
# Packages and modules whose examples compile for seconds. The default tests cover the same functions.
SLOW_EXAMPLES = [
    ROOT / "lcjax" / path
    for path in (
        "complexity",
        "curves/answer",
        "curves/comparison",
        "curves/envelope.py",
        "curves/fit",
        "curves/forecast",
        "curves/pooling.py",
        "curves/ranking.py",
        "curves/regions.py",
        "kernels",
        "models",
        "planning/collection_plan.py",
        "planning/plan_collection.py",
        "planning/requirement.py",
        "planning/sources.py",
        "reports/comparison.py",
        "reports/forecasts.py",
        "reports/plan.py",
        "scaling",
        "studies",
        "theory",
        "training",
    )
]
_PAGES = Path("/proc/self/statm")


class CheapCompilation:
    """Compile without optimizations, once for all workers and subprocesses of a test run.

    Compilation takes most of the time of the tests, and their programs run for milliseconds. If LCJAX_TEST_OPTIMIZED
    is set, they are compiled as for users. The workers of a run share a persistent compilation cache, in a temporary
    folder unless JAX_COMPILATION_CACHE_DIR names one.
    """

    def __init__(self) -> None:
        self._folder: str | None = None
        if "LCJAX_TEST_OPTIMIZED" not in os.environ:
            os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # for subprocesses
            jax.config.update("jax_disable_most_optimizations", True)
            # XLA's fusion emitters compile slowly; without them a run takes two fifths less processor time.
            if jaxlib.version.__version_info__ < (0, 11):  # later versions abort at a flag that they do not know
                os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false"
        if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
            self._folder = tempfile.mkdtemp(prefix="lcjax-test-programs-")
            os.environ["JAX_COMPILATION_CACHE_DIR"] = self._folder
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"  # for subprocesses
        jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)

    def pytest_unconfigure(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


class BoundedMemory:
    """Discard compiled programs when a worker grows beyond `LARGEST_WORKER`.

    This also keeps a worker from filling its table of memory mappings: a program compiled for the CPU holds some ten
    of them, and XLA crashes beyond the 65,530 that Linux allows a process.
    """

    def pytest_collection(self) -> None:
        gc.disable()  # hardly anything that is imported becomes garbage

    def pytest_collection_finish(self) -> None:
        gc.collect()
        gc.freeze()  # modules and tests live as long as the worker, so collections need not traverse them
        gc.set_threshold(5_000, 20, 50)
        gc.enable()

    def pytest_runtest_teardown(self) -> None:
        if not _PAGES.exists():  # not Linux
            return
        resident = int(_PAGES.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        if resident > LARGEST_WORKER:
            jax.clear_caches()
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)  # return freed memory to the system


def pytest_configure(config: pytest.Config) -> None:
    for plugin in (CheapCompilation(), BoundedMemory()):  # for examples in docstrings too, outside tests/
        config.pluginmanager.register(plugin)


@pytest.hookimpl(tryfirst=True)  # before the selection by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the examples of `SLOW_EXAMPLES` as slow, and keep studies that are run once out of the slow tests."""
    for item in items:
        if item.get_closest_marker("acceptance"):  # such as in float32, whose tests are slow
            item.own_markers = [mark for mark in item.own_markers if mark.name != "slow"]
        if isinstance(item, pytest.DoctestItem) and any(item.path.is_relative_to(path) for path in SLOW_EXAMPLES):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of the real data sets; tests that need it are skipped if it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"real data not found: no folder {folder} (set LCJAX_SHARED)")
    return folder


@pytest.fixture(scope="session")
def lcjax():
    """Run `lcjax ARGUMENTS` in this process, without the user's cache, and return exit status, output and errors."""
    from typer.testing import CliRunner

    from lcjax.cli import app

    def invoke(*arguments, **environment):
        environment = {"LCJAX_CACHE": "", "COLUMNS": "200", **environment}
        result = CliRunner().invoke(app, [*map(str, arguments)], env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return invoke
