"""The documentation: its Python blocks run, its command lines are accepted, and what it names exists."""

import ast
import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import jax
import pytest
import typer

from lcjax.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/results").rglob("*.md"))]
MODULES = {"jax": "jax", "jnp": "jax.numpy", "lc": "lcjax", "np": "numpy", "optax": "optax"}


def python_blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M)


def name_page(page):
    return str(page.relative_to(ROOT))


WITH_PYTHON = [page for page in PAGES if python_blocks(page)]
QUICK = {"docs/laws.md", "docs/distributed.md"}


@pytest.mark.parametrize(
    "page",
    [
        page if name_page(page) in QUICK else pytest.param(page, marks=pytest.mark.slow)
        for page in WITH_PYTHON
        if page.name != "README.md"  # tests/test_wheel.py runs it, from an installed wheel
    ],
    ids=name_page,
)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    """The blocks of a page run in order and share their variables."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jax.distributed, "initialize", lambda *arguments: None)
    variables = {"__name__": "__main__"}
    for block in python_blocks(page):
        exec(compile(block, page.name, "exec"), variables)


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_page)
def test_blocks_import_the_modules_that_they_use(page):
    for block in python_blocks(page):
        tree = ast.parse(block)
        imports = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert used & set(MODULES) <= imports, block


def command_lines(page):
    """Return the command lines of a page: in its blocks, and in its text between backticks."""
    text = page.read_text().replace("\\\n", " ")
    blocks = re.findall(r"^```(?:bash)?\n(.*?)^```", text, re.S | re.M)
    indented = re.findall(r"^    (python .*)$", text, re.M)
    inline = re.findall(r"`((?:[A-Z_]+=\S+ )?(?:lcjax|python) [^`]*)`", text)
    lines = [line for block in blocks for line in block.splitlines()] + indented + inline
    return [line.rstrip('&" ') for line in lines if "..." not in line and "|" not in line]


LCJAX = sorted(
    {
        (name_page(page), found[0])
        for page in PAGES
        for line in command_lines(page)
        if (found := re.search(r"(?<![\w/.])lcjax [-a-z].*", line))
    }
)


@pytest.mark.parametrize(("page", "line"), LCJAX, ids=[f"{page}: {line}" for page, line in LCJAX])
def test_commands_accept_the_documented_options(page, line):
    words = shlex.split(line, comments=True)[1:]
    if words[0] == "--distributed":
        words = words[2:]
    if not words:  # `lcjax --distributed` on its own
        return
    name, *arguments = words
    program = typer.main.get_command(app)
    if name.startswith("-"):
        assert name in {"-h", "--help"} | {option for parameter in program.params for option in parameter.opts}
        return
    command = program.commands[name]
    if len(arguments) > 2:
        command.make_context(name, arguments)
    else:  # the text may name a command or an option without values, such as `lcjax fit --form`
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in arguments if word.startswith("--")} <= known


BENCHMARKS = sorted(
    {
        (name_page(page), found[0])
        for page in PAGES
        for line in command_lines(page)
        if (found := re.search(r"python -m benchmarks[\w.]*.*", line))
    }
)


@pytest.mark.parametrize(("page", "line"), BENCHMARKS, ids=[f"{page}: {line}" for page, line in BENCHMARKS])
def test_documented_benchmarks_exist_with_their_options(page, line):
    module = line.split()[2]
    found = importlib.util.find_spec(module)
    assert found is not None
    origin = Path(found.origin)
    files = list(origin.parent.glob("*.py")) if origin.name == "__init__.py" else [origin]
    source = "".join(file.read_text() for file in [*files, ROOT / "benchmarks" / "harness.py"])
    options = set(re.findall(r"--[a-z-]+", line)) - {"--help"}
    assert {option for option in options if f'"{option}"' not in source} == set()


def resolves(name):
    """Return True if a dotted name is an attribute of lcjax or a module."""
    value, path = importlib.import_module("lcjax"), "lcjax"
    for part in name.split(".")[1:]:
        path = f"{path}.{part}"
        try:
            value = getattr(value, part)
        except AttributeError:
            if importlib.util.find_spec(path) is None:
                return False
            value = importlib.import_module(path)
    return True


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=name_page)
def test_names_files_and_links_exist(page):
    text = page.read_text()
    names = set(re.findall(r"`(?:[^`\n]*?)\b((?:lc|lcjax)(?:\.[A-Za-z_]\w*)+)", text))
    names = {re.sub(r"^lc\.", "lcjax.", name) for name in names if not name.endswith(".NAME")}
    files = set(re.findall(r"`((?:lcjax|tests|benchmarks|examples|docs)/[\w/.-]+\.\w+)", text))
    links = {link for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text) if "://" not in link}
    assert {name for name in names if not resolves(name)} == set()
    assert {file for file in files if not (ROOT / file).exists()} == set()
    assert {link for link in links if not (page.parent / link).exists()} == set()
