"""The environment of a result: versions of installed packages, and the device."""

import json
import platform
from importlib.metadata import version

import jax

from lcjax.provenance import environment


def test_versions_are_those_of_installed_packages():
    versions = environment(["pytest", "no-such-package"])["versions"]
    assert versions["python"] == platform.python_version()
    assert {name: versions[name] for name in ("jax", "numpy", "pytest")} == {
        name: version(name) for name in ("jax", "numpy", "pytest")
    }
    assert "no-such-package" not in versions
    assert "pytest" not in environment()["versions"]


def test_the_device_is_described():
    described = environment()
    assert described["device"].startswith(f"{jax.device_count()} x ")
    assert jax.devices()[0].platform in described["device"]
    assert described["cores"] >= 1
    assert json.loads(json.dumps(described)) == described
