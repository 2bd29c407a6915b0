"""Memory that is available to this process."""

import contextlib
import os
from pathlib import Path

__all__ = ["device_memory", "host_memory"]

UNKNOWN = 2**63 - 1


def host_memory() -> int:
    """Return the available bytes of the system, or the limit of the control group or of the process if it is lower.

    Examples:
        >>> host_memory() > 2**20
        True
    """
    amounts = [UNKNOWN]
    with contextlib.suppress(OSError, ValueError, AttributeError):  # Windows has no sysconf
        amounts.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(OSError, ValueError, IndexError):
        amounts.append(1024 * int(Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]))
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):  # of control groups, version 2 and 1
        with contextlib.suppress(OSError, ValueError):  # "max" is no number
            amounts.append(int(Path("/sys/fs/cgroup", limit).read_text()))
    with contextlib.suppress(ImportError):
        import resource

        amounts.append(resource.getrlimit(resource.RLIMIT_AS)[0])
    return min(amount for amount in amounts if amount >= 0)  # RLIM_INFINITY is -1


def device_memory() -> int:
    """Return the bytes of memory of the default device; on a CPU, those that the host has available.

    Examples:
        >>> device_memory() > 2**20
        True
    """
    import jax

    device = jax.local_devices()[0]
    limit = 0 if device.platform == "cpu" else (device.memory_stats() or {}).get("bytes_limit", 0)
    return int(limit) or host_memory()
