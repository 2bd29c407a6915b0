"""Seeds and other values in place of random keys."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from lcjax.typing import check_key

# In a process of its own, because the types of arguments are not checked there.
CALLS = """
import inspect
import lcjax as lc
seen, wrong = 0, []
for place in (lc, lc.theory, lc.studies):
    for name in dir(place):
        function = getattr(place, name)
        if inspect.isclass(function) or not callable(function):
            continue
        parameters = inspect.signature(function).parameters
        if "key" not in parameters:
            continue
        others = {n: None for n, p in parameters.items() if n != "key" and p.default is p.empty}
        try:
            function(**others, key=0)
        except ValueError as error:
            seen += "key must be a random key, such as jax.random.key(0), got" in str(error)
        except Exception as error:
            wrong.append((name, repr(error)))
print(seen, wrong)
"""


def test_every_public_function_refuses_a_seed_as_key():
    out = subprocess.run([sys.executable, "-c", CALLS], capture_output=True, text=True, check=True).stdout
    seen, wrong = out.split(" ", 1)
    assert wrong.strip() == "[]"
    assert int(seen) > 20


@pytest.mark.parametrize("value", [7, None, jax.random.PRNGKey(0), jax.random.split(jax.random.key(0), 2)])
def test_a_key_is_one_typed_key(value):
    check_key(jax.random.key(0))
    jax.jit(check_key)(jax.random.key(0))
    with pytest.raises(ValueError, match=r"jax\.random\.key"):
        check_key(value)


def test_numbers_traced_by_jax_are_not_keys():
    with pytest.raises(ValueError, match="random key"):
        jax.jit(check_key)(jnp.zeros(2))
