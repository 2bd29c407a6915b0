"""Threads run under the settings of the thread that submits the call, and results keep their order."""

import os
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.fit.fit_curve import fit_curve
from lcjax.curves.forecast.forecast import forecast
from lcjax.curves.forms import mmf
from lcjax.curves.learning_curve import LearningCurve
from lcjax.threads import ThreadPool, cores, in_threads

SETTINGS = {
    "jax_enable_x64": jax.enable_x64(True),
    "jax_default_matmul_precision": jax.default_matmul_precision("float32"),
    "jax_default_prng_impl": jax.default_prng_impl("rbg"),
    "jax_disable_jit": jax.disable_jit(True),
    "jax_debug_nans": jax.debug_nans(True),
    "jax_debug_infs": jax.debug_infs(True),
    "jax_numpy_rank_promotion": jax.numpy_rank_promotion("raise"),
    "jax_numpy_dtype_promotion": jax.numpy_dtype_promotion("strict"),
    "jax_log_compiles": jax.log_compiles(True),
    "jax_transfer_guard": jax.transfer_guard("allow"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_of_the_caller_holds_in_its_threads(name):
    def read():
        return threading.get_ident(), getattr(jax.config, name)

    outside = getattr(jax.config, name)
    with ThreadPool(1) as pool:
        assert pool.submit(read).result()[1] == outside
        with SETTINGS[name]:
            inside = getattr(jax.config, name)
            assert inside != outside
            ident, value = pool.submit(read).result()  # the same thread, which was started under the other setting
        assert value == inside
        assert ident != threading.get_ident()
        assert pool.submit(read).result()[1] == outside


def test_the_default_device_holds_in_threads():
    device = jax.devices()[0]
    with ThreadPool(1) as pool, jax.default_device(device):
        assert pool.submit(lambda: jax.config.jax_default_device).result() == device


def test_settings_hold_in_every_mapped_call():
    with jax.enable_x64(True):
        assert in_threads(lambda n: jnp.ones(n).dtype, [1, 2, 3], 2) == [jnp.float64] * 3


def test_results_keep_the_order_of_the_items_and_run_concurrently():
    barrier = threading.Barrier(2, timeout=30)  # passed only if two calls run concurrently

    def wait(item):
        barrier.wait()
        return item

    assert in_threads(wait, range(6), 2) == list(range(6))


def test_arguments_and_errors_pass_through():
    with ThreadPool(1) as pool:
        assert pool.submit(divmod, 7, 2).result() == (3, 1)
        assert pool.submit(int, "11", base=2).result() == 3
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result()


SIZE = np.array([100.0, 200.0, 400.0, 800.0, 1600.0])


def extrapolate(error):
    return forecast(jax.random.key(0), LearningCurve(SIZE, error), draws=8, chains=4, moves=1).predict(SIZE)


def fit(error):
    return fit_curve(LearningCurve(SIZE, error), mmf, key=jax.random.key(0), draws=2)


@pytest.mark.parametrize("function", [pytest.param(extrapolate, marks=pytest.mark.slow), fit])
def test_forecasts_and_fits_which_run_in_threads_call_no_lapack(function):
    """Factorizations of batches deadlock if several threads run them on a CPU."""

    def program(function, argument):
        return jax.jit(function).lower(argument).as_text()

    assert "lapack" in program(jnp.linalg.cholesky, jnp.eye(2)[None])
    assert "lapack" not in program(function, SIZE**-0.5)


def test_there_is_a_processor():
    assert cores() >= 1


def test_a_pool_that_is_left_by_an_error_does_not_wait():
    """The running call ends by itself, those that wait are cancelled; without an error all are awaited."""
    release, calls = threading.Event(), []

    def call(item):
        release.wait(20)
        calls.append(item)

    def leave():
        with ThreadPool(1) as pool:
            futures.extend(pool.submit(call, item) for item in range(3))
            raise KeyboardInterrupt

    futures = []
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        leave()
    assert time.monotonic() - started < 10
    assert [future.cancelled() for future in futures] == [False, True, True]
    release.set()
    futures[0].result()
    with ThreadPool(1) as pool:
        pool.submit(call, 3)
    assert calls == [0, 3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("computed", [False, True], ids=["before", "after"])
def test_a_process_forked_after_a_computation_is_refused(computed):
    code = f"""
import os, warnings
import jax
from lcjax import threads
warnings.simplefilter("ignore")
threads.ANSWER = {2 if computed else 60}
if {computed}:
    jax.block_until_ready(jax.numpy.ones(2) + 1)
child = os.fork()
if child == 0:
    try:
        threads.refuse_forked_process()
    except RuntimeError as error:
        print(error, flush=True)
        os._exit(1)
    os._exit(0)
raise SystemExit(os.waitpid(child, 0)[1] >> 8)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == computed, done.stderr
    assert ("JAX does not respond in this process, which was forked" in done.stdout) == computed
