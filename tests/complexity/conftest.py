"""Both precisions, and more devices than there are."""

import os
import subprocess
import sys
import textwrap

import jax
import pytest


@pytest.fixture(params=[pytest.param(False, marks=pytest.mark.slow, id="x32"), pytest.param(True, id="x64")])
def x64(request):
    with jax.enable_x64(request.param):
        yield request.param


@pytest.fixture
def run_with_devices():
    """Run a script in a process of its own, in which the CPU counts as several devices."""

    def run(devices, script):
        flags = f"--xla_force_host_platform_device_count={devices}"
        environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-c", textwrap.dedent(script)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return run
