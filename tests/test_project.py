"""The project's own rules, checked as CI checks them: style, types, layers, public names."""

import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lcjax

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["lint-imports", "--no-cache"]],
    ids=["lint", "format", "types", "layers"],
)
def test_style_types_and_layers(command):
    executable = Path(sys.executable).with_name(command[0])
    done = subprocess.run([executable, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_name_is_undefined():
    """Ruff's F821 is off because it reads jaxtyping's shape strings as names; here it counts outside of strings."""
    executable = Path(sys.executable).with_name("ruff")
    options = ["--select", "F821", "--config", "lint.ignore=[]", "--output-format", "json", "--exit-zero"]
    done = subprocess.run([executable, "check", *options, "."], cwd=ROOT, capture_output=True, text=True, check=True)
    undefined = []
    for found in json.loads(done.stdout):
        row, column = found["location"]["row"], found["location"]["column"]
        before = Path(found["filename"]).read_text().splitlines()[row - 1][: column - 1]
        if before.count('"') % 2 == 0:
            undefined.append(f"{found['filename']}:{row}: {found['message']}")
    assert undefined == []


@pytest.mark.parametrize("name", lcjax.__all__)
def test_public_name_resolves_and_is_documented(name):
    value = getattr(lcjax, name)
    assert value.__doc__, name
    assert name in dir(lcjax)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = lcjax.no_such_name


def test_importing_the_package_or_a_kernel_pulls_in_little():
    code = (
        "import sys, lcjax; assert 'jax' not in sys.modules; import lcjax.kernels.neighbors; "
        "print([m for m in ('flax', 'optax', 'scipy', 'sklearn', 'matplotlib', 'rich', 'typer') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_function_has_an_example():
    missing = []
    for home, names in lcjax._HOMES.items():
        module = importlib.import_module(home)
        missing += [
            f"{home}.{name}"
            for name in names
            if inspect.isroutine(inspect.unwrap(getattr(module, name)))
            and ">>>" not in (getattr(module, name).__doc__ or "")
        ]
    assert missing == []


def test_readme_begins_with_two_commands_of_one_line():
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", (ROOT / "README.md").read_text(), re.S | re.M)
    assert len(blocks) >= 2
    assert all(block.count("\n") == 1 and block.startswith("python3 -m venv") for block in blocks[:2])
    assert "lcjax predict" in blocks[0]
    assert "pytest" in blocks[1]
