"""The rules of the project, checked as in CI: style, types, layers, public names."""

import ast
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
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        pytest.param(["mypy"], marks=pytest.mark.slow),
        ["lint-imports", "--no-cache"],
    ],
    ids=["lint", "format", "types", "layers"],
)
def test_style_types_and_layers(command):
    executable = Path(sys.executable).with_name(command[0])
    done = subprocess.run([executable, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_name_is_undefined():
    """Ruff's F821 is off because it reads jaxtyping's shape strings as names; here it applies outside strings."""
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


PACKAGES = sorted(
    str(stub.parent.relative_to(ROOT)).replace("/", ".") for stub in (ROOT / "lcjax").rglob("__init__.pyi")
)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_of_a_stub_resolves_and_is_documented(package):
    """The stub is what editors and type checkers read; names resolve lazily from the same file."""
    module = importlib.import_module(package)
    stub = ast.parse((Path(module.__file__).parent / "__init__.pyi").read_text())
    named = [alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert len(named) == len(set(named))
    assert set(named) == set(module.__all__)
    for name in named:
        assert getattr(module, name).__doc__ is not None or not callable(getattr(module, name)), name
        assert name in dir(module)


def test_the_flat_names_are_few():
    assert 50 <= len([name for name in lcjax.__all__ if not inspect.ismodule(getattr(lcjax, name))]) <= 70


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
    missing = {
        f"{package}.{name}"
        for package in PACKAGES
        for name, value in inspect.getmembers(importlib.import_module(package))
        if name in importlib.import_module(package).__all__
        and inspect.isroutine(inspect.unwrap(value))
        and ">>>" not in (value.__doc__ or "")
    }
    assert missing == set()


def test_readme_begins_with_two_commands_of_one_line():
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", (ROOT / "README.md").read_text(), re.S | re.M)
    assert len(blocks) >= 2
    assert all(block.count("\n") == 1 and block.startswith("python3 -m venv") for block in blocks[:2])
    assert "lcjax predict" in blocks[0]
    assert "pytest" in blocks[1]


def test_citations_of_the_documentation_follow_the_bibliography():
    """Each has one spelling: "Owen (1995)", "Bisla et al. (2021)", and "(Owen, 1995)" within parentheses."""
    spellings = set()
    entries = re.findall(
        r"^@\w+\{(\w+),\s+author = \{(.*?)\},$", (ROOT / "docs/references.bib").read_text(), re.S | re.M
    )
    assert len(entries) == len(dict(entries)) >= 60
    for key, authors in entries:
        surnames = [author.split(",")[0].strip(" {}") for author in re.split(r"\s+and\s+", authors)]
        assert key.startswith(re.sub(r"\W", "", surnames[0]).lower()), key
        short = " and ".join(surnames) if len(surnames) <= 2 and "others" not in surnames else f"{surnames[0]} et al."
        spellings |= {f"{short} ({key[-4:]}", f"{short}, {key[-4:]}"}
    name = r"[A-Z][\w'-]+"
    citation = re.compile(rf"{name}(?:(?:, {name})* and {name}| et al\.),? \(?(?:19|20)\d\d")
    deviating = [
        f"{path.relative_to(ROOT)}: {found}"
        for path in (ROOT / "docs").rglob("*.md")
        for found in citation.findall(path.read_text().replace("\n", " "))
        if found not in spellings
    ]
    assert deviating == []


def definitions():
    for path in sorted((ROOT / "lcjax").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", node


def test_no_docstring_begins_with_a_question_word():
    asking = re.compile(r"(What|How|Whether|Which)\b")
    assert [place for place, node in definitions() if asking.match(ast.get_docstring(node) or "")] == []


# Adjectives and nouns of the field that end like participles, as first words of names, and irregular participles.
ADJECTIVES = {
    "banded", "capped", "closed", "expected", "fixed", "held", "independent", "interpolated", "masked", "nested",
    "printed", "rotated", "scaled", "sharded", "shifted", "sorted", "squared", "stored", "stratified", "streamed",
    "stretched", "transposed", "unfinished", "whitened", "embed", "need", "seed", "speed",
}  # fmt: skip
IRREGULAR = {"told", "found", "seen", "drawn", "kept", "made", "done", "given", "taken", "chosen", "written", "begun"}


def test_no_function_is_named_by_a_participle():
    named = []
    for place, node in definitions():
        if not isinstance(node, ast.FunctionDef) or any("property" in ast.unparse(d) for d in node.decorator_list):
            continue
        first, *rest = node.name.strip("_").split("_")
        participle = (first.endswith("ed") and (not rest or first not in ADJECTIVES)) or first in IRREGULAR
        if participle and not (not rest and first in {"unfinished", "embed", "need", "seed", "speed"}):
            named.append(f"{place} {node.name}")
    assert named == []


def test_folders_and_files_stay_small():
    folders = {
        folder: len([*folder.glob("*.py"), *folder.glob("*.pyi")])
        for folder in (ROOT / "lcjax").rglob("*")
        if folder.is_dir()
    }
    assert {str(folder.relative_to(ROOT)): count for folder, count in folders.items() if count > 14} == {}
    lines = {path: len(path.read_text().splitlines()) for path in (ROOT / "lcjax").rglob("*.py")}
    assert len([path for path, count in lines.items() if count > 350]) <= 3
