"""Problems that the tests of several packages share."""

import os
import subprocess
import sys
import textwrap


def run_with_devices(devices, script):
    """Run a script in a process of its own, in which the CPU counts as several devices."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
