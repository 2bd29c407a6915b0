"""Compilation: both ways agree, and the right one is chosen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.kernels import compilation as quick_compile
from lcjax.kernels.compilation import compile_ahead, jit, jit_by_size, jit_lean, repeat


def law(x, *, power):
    return jnp.sum(jnp.exp(-power * jnp.log1p(x)))


def test_small_and_large_arguments_give_the_same(x64):
    compiled = jit_by_size(static_argnames="power")(law)
    for count in (10, 2**16):
        x = jnp.linspace(0.0, 3.0, count)
        expected = np.sum((1 + np.linspace(0.0, 3.0, count)) ** -2.0)
        np.testing.assert_allclose(compiled(x, power=2), expected, rtol=1e-12 if x64 else 1e-5)


def test_it_can_be_transformed(x64):
    compiled = jit_by_size(static_argnames="power")(law)
    x = jnp.asarray([0.5, 1.0])
    expected = -2 * (1 + np.asarray(x)) ** -3.0
    for transformed in (jax.grad, lambda f: jax.jit(jax.grad(f)), lambda f: jax.jacfwd(f)):
        np.testing.assert_allclose(transformed(lambda x: compiled(x, power=2))(x), expected, rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(lambda v: compiled(v, power=2))(x), (1 + np.asarray(x)) ** -2.0, rtol=1e-5)


@pytest.mark.parametrize("decorator", [jit_by_size, jit_lean])
def test_constants_are_computed_inside_the_tracing_of_another_function(decorator):
    compiled = decorator(static_argnames="power")(law)
    expected = 3.0 + np.sum((1 + np.arange(3.0)) ** -2.0)
    np.testing.assert_allclose(jax.jit(lambda y: y + compiled(np.arange(3.0), power=2))(3.0), expected, rtol=1e-6)


def test_only_small_arguments_are_compiled_quickly(monkeypatch):
    taken = []
    plain = jax.jit

    def spying(function, **options):
        compiled = plain(function, **options)
        return lambda *a, **k: (taken.append(options.get("compiler_options") is not None), compiled(*a, **k))[1]

    quick_compile._options("quick")
    monkeypatch.setattr(jax, "jit", spying)
    compiled = jit_by_size()(lambda x: x + 1)
    compiled(jnp.ones(3))
    compiled(jnp.ones(2**16))
    monkeypatch.setattr(jax, "jit", plain)
    plain(compiled)(jnp.ones(3))
    assert taken == [jax.default_backend() == "cpu", False, False]


def test_options_that_xla_does_not_have_are_left_out(monkeypatch):
    quick_compile._options.cache_clear()
    monkeypatch.setattr(quick_compile, "_QUICK", {"xla_no_such_option": 1, "xla_backend_optimization_level": 0})
    assert quick_compile._options("quick") == {"xla_backend_optimization_level": 0}
    quick_compile._options.cache_clear()


@pytest.mark.parametrize("wrong", [{"power": None}, {}])
def test_errors_are_those_of_the_function(wrong):
    with pytest.raises(TypeError):
        jit_by_size(static_argnames="power")(law)(jnp.ones(3), **wrong)


def test_only_the_counted_arguments_make_a_call_large(monkeypatch):
    taken = []
    plain = jax.jit

    def spying(function, **options):
        compiled = plain(function, **options)
        return lambda *a, **k: (taken.append(options.get("compiler_options")), compiled(*a, **k))[1]

    for name in ("quick", "lean", "brief"):
        quick_compile._options(name)
    monkeypatch.setattr(jax, "jit", spying)
    compiled = jit_by_size(counted="y", most=4, optimize="lean")(lambda x, y: x.sum() + y.sum())
    compiled(jnp.ones(100), jnp.ones(4))
    compiled(jnp.ones(1), y=jnp.ones(5))
    monkeypatch.setattr(jax, "jit", plain)
    assert [options is not None for options in taken] == [jax.default_backend() == "cpu", False]


@pytest.mark.parametrize("decorator", [jit, jit_by_size(), jit_lean()])
def test_programs_compiled_ahead_from_shapes_are_reused(decorator):
    traced = []
    compiled = decorator(lambda x: (traced.append(x), 2 * x)[1])
    compile_ahead(compiled, jax.ShapeDtypeStruct((3,), jnp.result_type(float)))
    np.testing.assert_array_equal(compiled(jnp.ones(3)), 2 * np.ones(3))
    assert len(traced) == 1


def test_numpy_and_jax_repeat_alike():
    for array in (np.ones(2), jnp.ones(2)):
        value, count = repeat(5, lambda state: (state[0] / 2, state[1] + 1), (array, 0 * array))
        np.testing.assert_array_equal(value, np.full(2, 2.0**-5))
        np.testing.assert_array_equal(count, np.full(2, 5.0))
    early = repeat(5, lambda state: (state[0] / 2,), (np.ones(2),), settled=lambda a, b: bool(b[0][0] < 0.3))
    np.testing.assert_array_equal(early[0], [0.25, 0.25])
