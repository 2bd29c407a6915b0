"""The hash of a user's function changes with everything of the user's that it refers to, and with nothing else."""

import importlib.util
import sys
import textwrap

import pytest

from lcjax.identities import lasting_name
from lcjax.user_code import hash_user_code

STUDY = textwrap.dedent("""
    import argparse
    import collections
    import contextvars
    import dataclasses
    import datetime
    import fractions
    import functools
    import pathlib
    import re
    from os import environ
    import flax.linen as nn
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    import user_helpers
    import user_helpers as package
    from user_helpers import shift

    WIDTH = 8
    TABLE = np.arange(3.0)
    RATES = {"a": (0.1, 0.2)}
    OPTIONS = argparse.Namespace(rate=0.5, output="here")
    INNER = optax.chain(optax.clip(1.0), optax.scale(-0.5))
    half = functools.partial(jnp.multiply, 0.5)
    QUEUE = collections.deque([1.0, 2.5])
    THIRD = fractions.Fraction(1, 3)
    SCALE = contextvars.ContextVar("scale", default=1.25)
    PATTERN = re.compile("a+")
    FIELDS = pathlib.PurePosixPath("some/fields")
    DAY = datetime.date(2024, 2, 29)

    class Slotted:
        __slots__ = ("gain",)

        def __init__(self, gain):
            self.gain = gain

    SLOTTED = Slotted(0.75)

    def library_objects(outputs, targets):
        return outputs * QUEUE[1] * float(THIRD) * SCALE.get() * bool(PATTERN.match(FIELDS.name)) * DAY.year

    def slotted(outputs, targets):
        return SLOTTED.gain * outputs

    def factor(x):
        return 3 * x

    def times(k):
        def decorate(function):
            @functools.wraps(function)
            def inner(*arguments):
                return k * function(*arguments)
            return inner
        return decorate

    def plain(outputs, targets):
        return 2 * outputs

    def helped(outputs, targets):
        return factor(outputs)

    def far(outputs, targets):
        return helped(outputs, targets)

    def defaulted(outputs, targets, width=WIDTH):
        return width * outputs

    def constant(outputs, targets):
        return (lambda x: x + WIDTH)(outputs)

    def table(outputs, targets):
        return TABLE[1] * outputs * RATES["a"][1]

    def options(outputs, targets):
        return OPTIONS.rate * outputs if "HOME" in environ else outputs

    def module(outputs, targets):
        return package.scaled(outputs)

    def imported(outputs, targets):
        return shift(outputs)

    def partial(outputs, targets):
        return half(outputs)

    def optimizer(rate):
        return INNER

    @times(4)
    def decorated(outputs, targets):
        return outputs

    @jax.jit
    def jitted(outputs, targets):
        return factor(outputs)

    @jax.custom_vjp
    def custom(outputs, targets):
        return outputs
    custom.defvjp(lambda o, t: (o, None), lambda _, g: (factor(g), None))

    class Base(nn.Module):
        def width(self):
            return WIDTH

    class Net(Base):
        classes: int = 3

        @nn.compact
        def __call__(self, x):
            return nn.Dense(self.width())(x)

    @dataclasses.dataclass(frozen=True)
    class Crop:
        width: int = WIDTH

        @property
        def double(self):
            return factor(self.width)

        def __call__(self, key, inputs):
            return inputs[:, : self.double]

    def holds(outputs, targets):
        return Crop()(None, outputs)

    # unused
    UNUSED = 1

    def unused():
        return UNUSED
""")
HELPERS = textwrap.dedent("""
    OFFSET = 1.5

    def scaled(x):
        return _deep(x)

    def _deep(x):
        return OFFSET * x

    def shift(x):
        return x + OFFSET
""")
NAMES = (
    "plain", "helped", "far", "defaulted", "constant", "table", "options", "module", "imported", "partial", "optimizer",
    "decorated", "jitted", "custom", "Base", "Net", "Crop", "holds", "library_objects", "slotted",
)  # fmt: skip
# Edit: what becomes another, and the functions and classes that it changes.
EDITS = {
    "body": (("2 * outputs", "20 * outputs"), "plain"),
    "helper": (("3 * x", "5 * x"), "helped far jitted custom Crop holds"),
    "constant": (("WIDTH = 8", "WIDTH = 9"), "defaulted constant Base Net Crop holds"),
    "array": (("np.arange(3.0)", "np.arange(1.0, 4.0)"), "table"),
    "nesting": (("(0.1, 0.2)", "(0.1, 0.3)"), "table"),
    "option": (("rate=0.5", "rate=0.25"), "options"),
    "option that is not used": (('output="here"', 'output="there"'), ""),
    "decorator's argument": (("@times(4)", "@times(5)"), "decorated"),
    "decorator's body": (("return k * function", "return -k * function"), "decorated"),
    "partial": (("jnp.multiply, 0.5", "jnp.multiply, 0.25"), "partial"),
    "function of a package": (("jnp.multiply, 0.5", "jnp.add, 0.5"), "partial"),
    "closure of a package": (("optax.scale(-0.5)", "optax.scale(-0.25)"), "optimizer"),
    "derivative": (("(o, None)", "(2 * o, None)"), "custom"),
    "base class": (("return WIDTH", "return 2 * WIDTH"), "Base Net"),
    "class attribute": (("classes: int = 3", "classes: int = 4"), "Net"),
    "property": (("factor(self.width)", "2 * factor(self.width)"), "Crop holds"),
    "helper module": (("OFFSET = 1.5", "OFFSET = 1.25"), "module imported"),
    "helper module's helper": (("return OFFSET * x", "return 2 * OFFSET * x"), "module"),
    "deque": (("deque([1.0, 2.5])", "deque([1.0, 3.5])"), "library_objects"),
    "fraction": (("Fraction(1, 3)", "Fraction(1, 7)"), "library_objects"),
    "context variable": (("default=1.25", "default=2.25"), "library_objects"),
    "pattern": (('compile("a+")', 'compile("a*")'), "library_objects"),
    "path": (("some/fields", "other/fields"), "library_objects"),
    "date": (("2024, 2, 29", "2024, 2, 28"), "library_objects"),
    "slots": (("Slotted(0.75)", "Slotted(0.85)"), "slotted"),
    "nothing that is used": (("UNUSED = 1", "UNUSED = 2"), ""),
    "lines before": (("import argparse", "\n\n# Moved.\nimport argparse"), ""),
}


@pytest.fixture
def hashes(tmp_path):
    """Return a function that imports a study and its helpers from files, and returns the hash of each name."""

    def load(name, text):
        path = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}.py"  # Python keeps the lines of a file by its name
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def hash_all(study, helpers):
        load("user_helpers", helpers)
        module = load("user_study", study)
        return {name: hash_user_code(getattr(module, name)) for name in NAMES}

    yield hash_all
    for name in ("user_study", "user_helpers"):
        sys.modules.pop(name, None)


def test_every_edit_changes_what_refers_to_it_and_nothing_else(hashes):
    original = hashes(STUDY, HELPERS)
    assert hashes(STUDY, HELPERS) == original
    assert len(set(original.values())) == len(NAMES)
    for edit, ((old, new), expected) in EDITS.items():
        assert (old in STUDY) + (old in HELPERS) == 1, edit
        edited = hashes(STUDY.replace(old, new), HELPERS.replace(old, new))
        assert {name for name in NAMES if edited[name] != original[name]} == set(expected.split()), edit


def test_what_refers_to_itself_has_a_hash(tmp_path, hashes):
    recursive = (
        "\ndef plain(outputs, targets):\n    return RING[0] and far(outputs, targets)\nRING = []\nRING.append(RING)\n"
    )
    assert hashes(STUDY + recursive, HELPERS)["plain"] != hashes(STUDY, HELPERS)["plain"]


def test_a_function_without_source_is_refused():
    namespace = {}
    exec("def loss(outputs, targets):\n    return outputs", namespace)
    with pytest.raises(ValueError, match="loss is no lasting name: its source is not available; define it in a file"):
        lasting_name(namespace["loss"])
