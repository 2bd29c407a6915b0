"""Keys of programs: every source of the package enters them, and sources or arguments without a name are errors."""

from pathlib import Path

import numpy as np
import pytest

from lcjax.kernels import program_key as module
from lcjax.kernels.program_key import PACKAGE, UnidentifiableError, _hash_sources, program_key

X = {"x": np.ones(3)}


@pytest.fixture(autouse=True)
def _clear():
    yield
    _hash_sources.cache_clear()


def test_every_source_of_the_package_enters_the_hash(tmp_path):
    assert (PACKAGE / "curves" / "forecast" / "families.py").is_file()
    sources = tmp_path / "sources"
    (sources / "inner").mkdir(parents=True)
    (sources / "inner" / "a.py").write_text("x = 1\n")
    hashes = []
    for name, text in [("inner/a.py", "x = 1\n"), ("inner/a.py", "x = 2\n"), ("inner/b.py", ""), ("c.txt", "x")]:
        (sources / name).write_text(text)
        _hash_sources.cache_clear()
        hashes.append(_hash_sources(sources))
    assert len(set(hashes)) == 3
    assert hashes[2] == hashes[3]


@pytest.mark.parametrize(("varying", "fixed"), [({"x": object()}, {}), ({}, {"x": object()}), ({}, {"x": len})])
def test_an_argument_without_a_lasting_name_is_an_error(varying, fixed):
    with pytest.raises(UnidentifiableError):
        program_key(program_key, varying, fixed)


def test_sources_and_versions_that_cannot_be_read_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PACKAGE", tmp_path)  # no sources
    with pytest.raises(UnidentifiableError):
        program_key(program_key, X, {})
    (tmp_path / "a.py").mkdir()  # cannot be read
    _hash_sources.cache_clear()
    with pytest.raises(UnidentifiableError, match=r"a\.py"):
        program_key(program_key, X, {})
    monkeypatch.setattr(module, "PACKAGE", Path(module.__file__).parent)

    def fail():
        raise module.importlib.metadata.PackageNotFoundError("scipy")

    monkeypatch.setattr(module, "_versions", fail)
    with pytest.raises(UnidentifiableError, match="scipy"):
        program_key(program_key, X, {})
