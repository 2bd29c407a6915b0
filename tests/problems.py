"""Small problems shared by tests of several modules."""

import dataclasses
import os
import subprocess
import sys
import textwrap
import threading

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.curves import forms
from lcjax.curves.fit.curve_fit import CurveFit, FitFlags
from lcjax.data.streamed import Streamed
from lcjax.kernels.compilation import jit_by_size

FORM_PARAMETERS = {  # natural parameters of each form, for a curve from 20 to 20,000 examples
    forms.last_value: (0.3,),
    forms.linear: (0.5, -2e-5),
    forms.logarithm: (0.6, -0.05),
    forms.power_law: (1.2, -0.3),
    forms.power_law_offset: (0.05, 1.3, -0.4),
    forms.shifted_power_law: (0.05, 2.0, -0.6, 70.0),
    forms.m3: (1.0, -0.4, 0.001),
    forms.m4: (0.05, 0.8, 1.7, 12.0, -0.9),
    forms.mmf: (0.05, 0.8, -0.9, 200.0),
    forms.weibull: (0.1, 0.6, 300.0, 0.5),
    forms.janoschek: (0.1, 0.6, 0.01, 0.8),
    forms.exponential: (0.1, 0.6, 900.0),
    forms.inverse_logarithm: (0.01, 1.0),
    forms.vapor_pressure: (-0.3, 6.0, -0.2),
    forms.broken_power_law: (0.03, 1.0, -0.1, -0.5, 800.0, 0.3),
    forms.twice_broken_power_law: (0.02, 1.0, -0.3, 0.5, 150.0, 0.2, -0.8, 2500.0, 0.25),
}
CURVE_SIZES = np.geomspace(20, 20_000, 30)


def fit_with_parameters(form, *parameters, draws=None, guess=None):
    """Return a fit of one curve with the given natural parameters, and with `draws` as rows of parameters."""

    def coordinates(values):
        offset, log_scale, shape = form._internal(*(jnp.asarray(v) for v in values))
        level = log_scale + form.log_basis(jnp.zeros(()), 0.0, *shape)
        return jnp.stack([*([offset] if form.offset else []), level, *shape])

    no, zero = jnp.zeros((), bool), jnp.zeros(())
    rows = None if draws is None else jnp.stack([coordinates(row) for row in draws])
    fit = CurveFit(coordinates(parameters), zero, zero, zero, zero, ~no, FitFlags(*(no,) * 7), rows, guess, form)
    return jax.tree.map(np.asarray, fit)


class Source:
    """Examples in a list that count how often they are read."""

    def __init__(self, inputs):
        self.inputs, self.read, self.lock = list(np.asarray(inputs)), 0, threading.Lock()

    def __call__(self, i):
        with self.lock:
            self.read += 1
        return self.inputs[i]

    def streamed(self, identity):
        first = self.inputs[0]
        return Streamed(self, np.arange(len(self.inputs)), first.shape, first.dtype, identity)


def stream(data):
    """Return the data with the inputs of every split streamed."""

    def part(split, name):
        return dataclasses.replace(split, inputs=Source(split.inputs).streamed(name))

    return dataclasses.replace(
        data,
        train=part(data.train, "train"),
        validation=part(data.validation, "validation"),
        test=part(data.test, "test"),
    )


@jit_by_size()
def predict(fit, size):
    """Evaluate `fit.predict` in one program: its single operations compile more slowly."""
    return fit.predict(size)


@jit_by_size()
def predict_draws(fit, size):
    """Evaluate `fit.predict_draws` in one program."""
    return fit.predict_draws(size)


def environment_with_devices(devices):
    """Return an environment in which the CPU counts as several devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    return {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def run_with_devices(devices, script):
    """Run a script in a separate process in which the CPU counts as several devices."""
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, env=environment_with_devices(devices), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
