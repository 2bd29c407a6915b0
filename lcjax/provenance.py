"""Where a result comes from: versions and device."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["environment"]

_PACKAGES = ("lcjax", "jax", "jaxlib", "flax", "optax", "numpy", "scipy", "scikit-learn", "tensorflow-datasets")


def environment() -> dict[str, Any]:
    """Versions and device that a result was made with.

    Examples:
        >>> sorted(environment())
        ['cores', 'device', 'platform', 'versions']
    """
    import jax

    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    device = jax.devices()[0]
    return {
        "device": f"{len(jax.devices())} x {device.device_kind} ({device.platform})",
        "platform": platform.platform(terse=True),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": versions,
    }
