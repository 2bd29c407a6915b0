"""The wheel: built, installed into a fresh environment, and used from there as in the README."""

import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import lcjax
from lcjax import cli

ROOT = Path(__file__).parents[1]
TEST_TOOLS = {"pytest", "pytest-xdist", "hypothesis", "beartype", "ruff", "mypy", "import-linter", "hatchling"}

pytestmark = pytest.mark.slow


def run(*command, cwd, **environment):
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling", reason="the build backend, which the extra `test` installs")
    folder = tmp_path_factory.mktemp("wheel")
    run(
        sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT, PYTHONPATH=paths("hatchling")
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install the wheel in a fresh environment with this one's dependencies; return the folder of its executables."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    executables = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", executables / "python", "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", wheel, cwd=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    # A folder named in a .pth file comes after the environment's own, and its own .pth files (an editable lcjax) do not
    # count.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return executables


def paths(package):
    """Return the search path on which this process finds a package that need not be installed."""
    return str(Path(importlib.import_module(package).__file__).parents[1])


def test_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    suffixes = ("py", "pyi", "css", "js")
    sources = {str(path.relative_to(ROOT)) for suffix in suffixes for path in (ROOT / "lcjax").rglob(f"*.{suffix}")}
    metadata = {name for name in names if ".dist-info/" in name}
    assert set(names) - metadata == sources | {"lcjax/py.typed"}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in metadata)


def test_an_installation_pulls_no_test_tool(installed):
    code = "import importlib.metadata as m; print(*(m.requires('lcjax') or []), sep='\\n')"
    required = [
        line for line in run(installed / "python", "-c", code, cwd=installed).splitlines() if "extra ==" not in line
    ]
    seen: set[str] = set()
    while required:
        name = re.match(r"[\w.-]+", required.pop())[0].lower().replace("_", "-")
        if name not in seen:
            seen.add(name)
            try:
                needed = importlib.metadata.requires(name) or []
            except importlib.metadata.PackageNotFoundError:  # of another platform or Python
                continue
            required += [line for line in needed if "extra ==" not in line]
    assert {"jax", "flax", "typer", "tensorflow-datasets"} <= seen
    assert seen & TEST_TOOLS == set()


def test_commands_print_their_help(installed, tmp_path):
    lcjax_command = installed / "lcjax"
    assert run(lcjax_command, "--version", cwd=tmp_path) == f"lcjax {lcjax.__version__}\n"
    where = run(installed / "python", "-c", "import lcjax; print(lcjax.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)
    for command in (command.callback.__name__ for command in cli.app.registered_commands):
        assert f"Usage: lcjax {command} [OPTIONS]" in run(lcjax_command, command, "--help", cwd=tmp_path)


def test_examples_of_the_readme_run(installed, tmp_path):
    """Run the examples unchanged, except for less training: one seed, 200 steps and a given dimension."""
    example = "".join(re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.S | re.M))
    fewer = (
        "import functools, lcjax\n"
        "whole = lcjax.predict_learning_curve\n"
        "lcjax.predict_learning_curve = functools.partial(whole, seeds=1, dimension=2)\n"
        "recipe = lcjax.studies.mlp_recipe\n"
        "lcjax.studies.mlp_recipe = lambda data: recipe(data).with_budget(steps=200)\n"
    )
    run(installed / "python", "-c", fewer + example, cwd=tmp_path, JAX_DISABLE_MOST_OPTIMIZATIONS="1")
