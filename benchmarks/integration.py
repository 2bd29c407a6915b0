"""Expected error to 1e-4 beside SciPy's qmc_quad, vegas and torchquad: `python -m benchmarks.integration`.

The integrand is the hypercube law's min(1, K exp(q / 2d)) between unequal Gaussians in whitened coordinates. Every
method doubles its points until its stated error is at most 1e-4 of the value; the error against a radial quadrature,
evaluations and time are printed. The peers integrate over the cube through the inverse normal distribution function.
"""

import importlib.util
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate
import scipy.stats

from benchmarks.harness import Case, main
from lcjax.kernels.integration import expectation

RTOL = 1e-4
SPREAD = {2: np.array([1.1, 0.9]), 3: np.array([1.2, 1.0, 0.8])}
SCALE = {2: 0.15, 3: 0.25}


def integrand(x: Any, d: int, library: Any) -> Any:
    """Capped distance at standard normal points `(n, d)` of the test density, by NumPy's or JAX's functions."""
    q = library.sum((x * SPREAD[d].astype(x.dtype)) ** 2, axis=1)
    return library.minimum(1.0, SCALE[d] * library.exp(q / (2 * d)))


def by_qmc_quad(d: int) -> tuple[float, float, int]:
    n, total = 256, 0
    while True:
        found = scipy.integrate.qmc_quad(
            lambda u: integrand(np.atleast_2d(scipy.stats.norm.ppf(u).T), d, np).squeeze(),
            np.zeros(d),
            np.ones(d),
            n_points=n,
            n_estimates=16,
        )
        total += 16 * n
        if found.standard_error <= RTOL * found.integral or n >= 2**20:
            return float(found.integral), float(found.standard_error), total
        n *= 2


def by_vegas(d: int) -> tuple[float, float, int]:
    import vegas

    total, n = 0, 1000

    @vegas.lbatchintegrand
    def f(u: np.ndarray) -> np.ndarray:
        nonlocal total
        total += len(u)
        return integrand(scipy.stats.norm.ppf(np.clip(u, 1e-15, 1 - 1e-15)), d, np)

    integrator = vegas.Integrator([[0, 1]] * d)
    integrator(f, nitn=5, neval=n)
    while True:
        found = integrator(f, nitn=5, neval=n)
        if found.sdev <= RTOL * found.mean or n >= 2**22:
            return float(found.mean), float(found.sdev), total
        n *= 2


def by_torchquad(d: int) -> tuple[float, float, int]:
    """VEGAS of torchquad, which states no error: doubled until two runs agree to the tolerance."""
    import torch
    from torchquad import VEGAS

    spread, normal = torch.as_tensor(SPREAD[d]), torch.distributions.Normal(0.0, 1.0)

    def f(u: Any) -> Any:
        x = normal.icdf(u.clamp(1e-12, 1 - 1e-12))
        return torch.clamp(SCALE[d] * torch.exp(((x * spread) ** 2).sum(1) / (2 * d)), max=1.0)

    n, total, before = 4096, 0, float("nan")
    while True:
        value = float(VEGAS().integrate(f, dim=d, N=n, integration_domain=[[0, 1]] * d))
        total += n
        if abs(value - before) <= RTOL * value or n >= 2**22:
            return value, abs(value - before), total
        before, n = value, 2 * n


def cases() -> Iterable[Case]:
    for d in (2, 3):
        target = partial(integrand, d=d, library=jnp)
        ours = jax.jit(partial(expectation, f=target, d=d, n=64, rtol=RTOL, randomizations=16))
        exact = float(np.mean([ours(jax.random.key(1000 + i)).value for i in range(64)]))
        runs: dict[str, Callable[[], Any]] = {"lcjax": partial(ours, jax.random.key(0))}
        peers: dict[str, Callable[[int], tuple[float, float, int]]] = {"qmc_quad": by_qmc_quad}
        if importlib.util.find_spec("vegas"):
            peers["vegas"] = by_vegas
        if importlib.util.find_spec("torchquad"):
            peers["torchquad"] = by_torchquad
        mine = ours(jax.random.key(0))
        facts: dict[str, Any] = {"evaluations": {"lcjax": int(mine.evaluations)}, "error": {}}
        facts["error"]["lcjax"] = float(mine.value) / exact - 1
        for name, method in peers.items():
            value, _, count = method(d)
            facts["evaluations"][name], facts["error"][name] = count, value / exact - 1
            runs[name] = partial(method, d)
        yield Case(f"expectation d={d} to {RTOL}", runs, facts=facts)


if __name__ == "__main__":
    main({"expectation": cases}, __doc__ or "")
