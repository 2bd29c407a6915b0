"""Stored programs: a later process does not trace, what changes a program changes its key, and damage is repaired."""

import hashlib
import inspect
import os
import shutil
import subprocess
import sys
import threading
import time
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from lcjax.curves.forecast.draws import student
from lcjax.kernels import program_key, stored_programs
from lcjax.kernels.linear_systems import block_cholesky
from lcjax.kernels.stored_programs import jit_stored, remove_damaged_code, store_programs
from lcjax.records import record
from lcjax.threads import in_threads

DEGREES, PLACE = np.float32(5.0), np.linspace(0.01, 0.99, 7, dtype=np.float32)
TABLE = scipy.special.stdtrit


@pytest.fixture
def traces(monkeypatch):
    """Return a list that grows whenever `student` is traced: that computes its table."""
    traces = []
    monkeypatch.setattr(scipy.special, "stdtrit", lambda *a: (traces.append(a), TABLE(*a))[1])
    return traces


@pytest.fixture
def folder(tmp_path):
    """Return a folder that does not yet exist, in which programs are stored."""
    store_programs(tmp_path / "programs")
    yield tmp_path / "programs"
    store_programs(None)


def stored_names(folder):
    return sorted(path.name for path in folder.glob("*")) if folder.exists() else []


def call(function=student, *arguments):
    """Call a program as a new process would, and return its result."""
    store_programs(stored_programs._STORE.folder)
    return np.asarray(jit_stored(result=None)(function)(*(arguments or (DEGREES, PLACE))))


def test_a_stored_program_is_not_traced_again(traces, folder):
    expected = np.asarray(jax.jit(student)(DEGREES, PLACE))
    del traces[:]
    first = call()
    assert len(traces) == 1
    assert [name.partition("-")[0] for name in stored_names(folder)] == ["student"]
    second = call()
    assert len(traces) == 1
    assert first.tobytes() == second.tobytes() == expected.tobytes()
    assert first.dtype == expected.dtype


@pytest.mark.slow
def test_another_process_does_not_trace_it_either(folder):
    """One of the programs calls LAPACK."""
    factor = inspect.unwrap(block_cholesky._cholesky)
    expected = [call().tobytes().hex(), call(factor, 4 * np.eye(3, dtype=np.float32)).tobytes().hex()]
    code = (
        "import inspect, sys, numpy as np\n"
        "sys.modules['scipy.special'] = None  # a trace would fail\n"
        "from lcjax.curves.forecast.draws import student\n"
        "from lcjax.kernels.linear_systems import block_cholesky\n"
        "from lcjax.kernels.stored_programs import jit_stored, store_programs\n"
        "store_programs(sys.argv[1])\n"
        "place = np.linspace(0.01, 0.99, 7, dtype=np.float32)\n"
        "table = jit_stored(result=None)(student)(np.float32(5.0), place)\n"
        "factor = inspect.unwrap(block_cholesky._cholesky)\n"
        "root = jit_stored(result=None)(factor)(4 * np.eye(3, dtype=np.float32))\n"
        "print(*(np.asarray(a).tobytes().hex() for a in (table, root)))\n"
    )
    environment = {**os.environ, "JAX_ENABLE_X64": str(jax.config.jax_enable_x64)}
    done = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == expected
    assert len(stored_names(folder)) == 2


def test_nothing_is_stored_unless_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store_programs(None)
    program = jit_stored(result=None)(student)
    program(DEGREES, PLACE)
    assert stored_names(tmp_path) == []


def test_other_arguments_settings_versions_and_sources_have_other_programs(traces, folder, monkeypatch, x64):
    call()
    call(student, DEGREES, PLACE[:3])
    call(student, DEGREES, PLACE.astype(np.float16))
    call(student, 5.0, PLACE)
    call(student, np.float64(5.0), PLACE)  # is not weakly typed; a float32 like the first without x64
    with jax.numpy_dtype_promotion("strict"):
        call()
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", "") + " ")
    call()
    monkeypatch.setattr(program_key, "_versions", lambda: ["another JAX"])
    call()
    monkeypatch.setattr(program_key, "_hash_sources", lambda package: "changed")
    call()
    assert len(traces) == len(stored_names(folder)) == 8 + x64
    call()
    assert len(traces) == 8 + x64


@pytest.mark.parametrize("damage", ["truncated", "empty", "changed", "foreign", "another version", "a folder"])
def test_a_damaged_file_is_replaced(traces, folder, damage):
    expected = call()
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    changed = whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]
    contents = {"truncated": whole[:-100], "empty": b"", "changed": changed, "foreign": b"\x80\x04."}
    payload = whole[hashlib.sha256().digest_size :]
    contents["another version"] = hashlib.sha256(payload[64:]).digest() + payload[64:]  # not readable by jax.export
    with pytest.raises(Exception):  # noqa: B017, PT011
        jax.export.deserialize(bytearray(payload[64:]))
    path.unlink()
    if damage in contents:
        path.write_bytes(contents[damage])
    else:
        path.mkdir()
    assert call().tobytes() == expected.tobytes()
    assert len(traces) == 2
    if damage == "a folder":  # stays: only files are replaced
        shutil.rmtree(path)
        call()
        del traces[2:]
    assert call().tobytes() == expected.tobytes()
    assert len(traces) == 2
    assert path.stat().st_size > 0.9 * len(whole)
    assert stored_names(folder) == [path.name]


@pytest.mark.parametrize(("lengths", "count"), [((7, 7), 1), ((7, 3), 2)], ids=["equal", "different"])
def test_threads_export_one_program_once_and_two_at_once(folder, monkeypatch, lengths, count):
    arrivals, both = [], threading.Barrier(count, timeout=60)

    def table(*arguments):
        arrivals.append(arguments)
        both.wait()  # raises unless the other program is traced meanwhile
        time.sleep(0.2)  # for a second trace of the same program to begin
        return TABLE(*arguments)

    monkeypatch.setattr(scipy.special, "stdtrit", table)
    program = jit_stored(result=None)(student)
    results = in_threads(lambda length: np.asarray(program(DEGREES, PLACE[:length])), lengths, 2)
    assert len(arrivals) == len(stored_names(folder)) == count
    assert [result.shape for result in results] == [(length,) for length in lengths]


def test_a_disk_that_cannot_be_written_is_no_error(traces, tmp_path, folder, monkeypatch):
    expected = call()
    (tmp_path / "file").write_text("")
    store_programs(tmp_path / "file" / "programs")
    assert call().tobytes() == expected.tobytes()
    shutil.rmtree(folder)
    store_programs(folder)

    def fail(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stored_programs, "atomic_path", fail)
    assert call().tobytes() == expected.tobytes()
    assert len(traces) == 3
    assert stored_names(folder) == []


def test_the_oldest_programs_are_removed(folder, monkeypatch):
    monkeypatch.setattr(stored_programs, "MOST", 2)
    for count in (1, 2, 3):
        call(student, DEGREES, PLACE[:count])
        for path in folder.iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 10))
    names = stored_names(folder)
    assert len(names) == 2
    call(student, DEGREES, PLACE[:3])
    assert stored_names(folder) == names


def test_traced_calls_are_those_of_the_function(traces, folder):
    program = jit_stored(result=None)(student)
    expected = np.asarray(student(jnp.asarray(DEGREES), jnp.asarray(PLACE)))
    for transformed in (jax.jit(program), jax.vmap(program, in_axes=(None, 0))):
        np.testing.assert_array_equal(transformed(DEGREES, jnp.asarray(PLACE)), expected)
    assert jax.grad(lambda d: program(d, jnp.asarray(PLACE)).sum())(5.0) == 0.0
    assert jax.eval_shape(program, DEGREES, PLACE).shape == PLACE.shape
    assert stored_names(folder) == []
    np.testing.assert_array_equal(jax.jit(lambda y: y + program(DEGREES, PLACE))(np.float32(0.0)), expected)


@record
class Own:
    """A user's record."""

    power: float


def own_curve(x):
    """Return a user's curve."""
    return x


def apply(x, *, choice):
    return choice(x) if callable(choice) else x * choice.power if isinstance(choice, Own) else x * choice[0]


def test_what_is_a_users_own_is_compiled_as_usual(folder, monkeypatch):
    assert call(lambda x: 2 * x, PLACE)[0] == 2 * PLACE[0]
    np.testing.assert_array_equal(jit_stored(result=None)(student)(DEGREES, probability=PLACE), call())
    shutil.rmtree(folder)
    # As if it were a part of the library: only the static argument decides.
    monkeypatch.setattr(apply, "__module__", stored_programs.__name__)
    monkeypatch.setattr(stored_programs, "apply", apply, raising=False)
    program = jit_stored(result=None)(apply)
    np.testing.assert_array_equal(program(PLACE, choice={0: np.float32(2.0)}), 2 * PLACE)
    program = jit_stored(static_argnames="choice", result=None)(apply)
    for choice in (own_curve, Own(3.0), lambda x: x):
        factor = 3.0 if isinstance(choice, Own) else 1.0
        np.testing.assert_array_equal(program(PLACE, choice=choice), factor * PLACE)
    assert stored_names(folder) == []
    for count, choice in enumerate([(2.0,), (3.0,), (3.0, "text", None, True), jax.nn.relu, student], start=1):
        if not callable(choice):
            np.testing.assert_array_equal(program(PLACE, choice=choice), choice[0] * PLACE)
            assert len(stored_names(folder)) == count


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, "cut", "changed"], ids=["empty", "zeros", "cut", "changed"])
def test_unreadable_machine_code_is_removed_once(tmp_path, damage):
    whole = zlib.compress(np.random.default_rng(0).bytes(1000))
    changed = whole[:500] + bytes([whole[500] ^ 1]) + whole[501:]
    content = {"cut": whole[:-1], "changed": changed}.get(damage, damage)
    (tmp_path / "jit_f-cache").write_bytes(whole)
    (tmp_path / "jit_g-cache").write_bytes(content)
    (tmp_path / "other").write_bytes(content)
    remove_damaged_code(tmp_path)
    assert {"jit_f-cache", "other"} < set(stored_names(tmp_path))
    assert not (tmp_path / "jit_g-cache").exists()
    (tmp_path / "jit_g-cache").write_bytes(content)
    os.utime(tmp_path / "jit_g-cache", (1, 1))  # older than the last check
    remove_damaged_code(tmp_path)
    assert (tmp_path / "jit_g-cache").exists()
