"""Compilation: both ways agree, and the right one is chosen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.kernels import compilation as quick_compile
from lcjax.kernels.compilation import jit_by_size, jit_lean


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

    quick_compile._quick_options()
    monkeypatch.setattr(jax, "jit", spying)
    compiled = jit_by_size()(lambda x: x + 1)
    compiled(jnp.ones(3))
    compiled(jnp.ones(2**16))
    monkeypatch.setattr(jax, "jit", plain)
    plain(compiled)(jnp.ones(3))
    assert taken == [jax.default_backend() == "cpu", False, False]


def test_options_that_xla_does_not_have_are_left_out(monkeypatch):
    quick_compile._quick_options.cache_clear()
    monkeypatch.setattr(quick_compile, "_QUICK", {"xla_no_such_option": 1, "xla_backend_optimization_level": 0})
    assert quick_compile._quick_options() == {"xla_backend_optimization_level": 0}
    quick_compile._quick_options.cache_clear()


@pytest.mark.parametrize("wrong", [{"power": None}, {}])
def test_errors_are_those_of_the_function(wrong):
    with pytest.raises(TypeError):
        jit_by_size(static_argnames="power")(law)(jnp.ones(3), **wrong)
