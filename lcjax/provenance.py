"""Provenance of a result: versions and device."""

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import jax

from lcjax.threads import cores
from lcjax.typing import JSON

__all__ = ["environment", "number_settings"]

_SETTINGS = ("enable_x64", "default_matmul_precision", "threefry_partitionable", "random_seed_offset")
_PACKAGES = ("lcjax", "jax", "jaxlib", "flax", "optax", "numpy", "scipy", "scikit-learn", "tensorflow-datasets")


def environment(packages: Sequence[str] = ()) -> dict[str, JSON]:
    """Return the versions, including those of further installed `packages`, and the device that results come from.

    Examples:
        >>> sorted(environment())
        ['cores', 'device', 'platform', 'versions']
    """
    versions = {"python": platform.python_version()}
    for package in (*_PACKAGES, *packages):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    device = jax.devices()[0]
    return {
        "device": f"{len(jax.devices())} x {device.device_kind} ({device.platform})",
        "platform": platform.platform(terse=True),
        "cores": cores(),
        "versions": versions,
    }


def number_settings() -> dict[str, JSON]:
    """Return the settings of JAX that affect computed numbers: precision and random streams.

    Examples:
        >>> with jax.default_matmul_precision("float32"):
        ...     number_settings()["default_matmul_precision"]
        'float32'
    """
    return {name: getattr(jax.config, f"jax_{name}") for name in _SETTINGS}
