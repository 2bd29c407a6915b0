"""Expected error to 1e-4, compared with qmc_quad, vegas and torchquad: `python -m benchmarks.integration`.

The integrands are the rows of Table 3 of Bisla et al. (2021) with d = 2 and d = 3 at the data set's full size: the
hypercube law's min(1, K exp(q / 2d)), Eq. (7), between the row's Gaussians. Every method doubles its points until its
stated error is at most 1e-4 of the value. The time is that of all attempts; evaluations are reported for all attempts
and for the last. The error is relative to a polar quadrature. The peers integrate over the cube, through the inverse
normal distribution function. The coverage of the stated 95 % intervals over 200 seeds is also reported.
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
from lcjax.kernels.integration import expectation, wide_gaussian
from lcjax.papers.bisla import TABLE_3, PaperRow

RTOL = 1e-4
Answer = tuple[float, int, int]  # value, evaluations of all attempts, evaluations of the last attempt


IMAGES = {"mnist": 60_000, "cifar10": 50_000, "cifar100": 50_000, "imagenet": 1_281_167}  # in the training sets
SIDE = {2: 0.765195716464213, 3: 0.960591956455053}  # c_d of Eq. (5)
ROWS = [row for row in TABLE_3.values() if row.dimension in SIDE]


def name_of(row: PaperRow) -> str:
    return row.label.replace(",", "")


def log_ratio(row: PaperRow) -> float:
    """Return ln K, the logarithm of psi / delta at the peak of the training density."""
    d, size = row.dimension, IMAGES[row.data.removeprefix("tfds:").removesuffix("2012")]
    log_peak = -d / 2 * np.log(2 * np.pi) - np.sum(np.log(row.train_variance)) / 2
    return float(np.log(SIDE[d] / (2 * row.radius)) - (np.log(size) + log_peak) / d)


def integrand(z: Any, row: PaperRow, library: Any) -> Any:
    """Return the capped distance in units of the radius at standard normal points `(n, d)`; NumPy, JAX or PyTorch."""
    spread = np.sqrt(np.divide(row.test_variance, row.train_variance))
    shift = np.subtract(row.test_mean, row.train_mean) / np.sqrt(row.train_variance)
    q = sum((z[:, j] * float(spread[j]) + float(shift[j])) ** 2 for j in range(len(spread)))
    return library.exp((log_ratio(row) + q / (2 * len(spread))).clip(None, 0.0))


def quadrature(row: PaperRow) -> float:
    """Integrate in polar coordinates around the training mean, with two radial panels that meet at the cap."""
    d = row.dimension
    spread = np.sqrt(np.divide(row.test_variance, row.train_variance))
    shift = np.subtract(row.test_mean, row.train_mean) / np.sqrt(row.train_variance)
    edge = np.sqrt(-2 * d * log_ratio(row))
    node, weight = np.polynomial.legendre.leggauss(200)
    r = np.concatenate([(node + 1) / 2 * edge, edge + (node + 1) / 2 * 12])
    w = np.concatenate([weight / 2 * edge, weight / 2 * 12]) * r ** (d - 1)
    angle = 2 * np.pi * np.arange(64) / 64
    direction, share = np.stack([np.cos(angle), np.sin(angle)], 1), np.full(64, 2 * np.pi / 64)
    if d == 3:
        height, part = np.polynomial.legendre.leggauss(64)
        flat = np.sqrt(1 - height**2)[:, None, None] * direction
        direction = np.concatenate([flat, np.broadcast_to(height[:, None, None], (64, 64, 1))], 2).reshape(-1, 3)
        share = (part[:, None] * share).ravel()
    value = np.minimum(1, np.exp(log_ratio(row) + r**2 / (2 * d)))
    z = (r[:, None, None] * direction - shift) / spread
    density = np.exp(-np.sum(z**2, 2) / 2) / np.prod(spread * np.sqrt(2 * np.pi))
    return float((w * value) @ density @ share)


def by_qmc_quad(row: PaperRow) -> Answer:
    d, n, total = row.dimension, 64, 0
    while True:
        found = scipy.integrate.qmc_quad(
            lambda u: integrand(scipy.stats.norm.ppf(u.reshape(d, -1).T), row, np).squeeze(),
            np.zeros(d),
            np.ones(d),
            n_points=n,
            n_estimates=16,
        )
        total += 16 * n
        if found.standard_error <= RTOL * found.integral or n >= 2**20:
            return float(found.integral), total, 16 * n
        n *= 2


def by_vegas(row: PaperRow) -> Answer:
    import vegas

    d, total, n = row.dimension, 0, 1000

    @vegas.lbatchintegrand
    def f(u: np.ndarray) -> np.ndarray:
        nonlocal total
        total += len(u)
        return integrand(scipy.stats.norm.ppf(np.clip(u, 1e-15, 1 - 1e-15)), row, np)

    integrator = vegas.Integrator([[0, 1]] * d)
    integrator(f, nitn=5, neval=n)
    while True:
        before = total
        found = integrator(f, nitn=5, neval=n)
        if found.sdev <= RTOL * found.mean or n >= 2**22:
            return float(found.mean), total, total - before
        n *= 2


def by_torchquad(row: PaperRow) -> Answer:
    """Integrate with torchquad's VEGAS; it states no error, so the points double until two runs agree to tolerance."""
    import torch
    from torchquad import VEGAS

    d, normal = row.dimension, torch.distributions.Normal(0.0, 1.0)

    def f(u: Any) -> Any:
        return integrand(normal.icdf(u.clamp(1e-7, 1 - 1e-7)), row, torch)

    n, total, before = 4096, 0, float("nan")
    while True:
        value = float(VEGAS().integrate(f, dim=d, N=n, integration_domain=[[0, 1]] * d))
        total += n
        if abs(value - before) <= RTOL * value or n >= 2**22:
            return value, total, n
        before, n = value, 2 * n


def to_tolerance() -> Iterable[Case]:
    for row in ROWS:
        d, exact = row.dimension, quadrature(row)
        target = partial(integrand, row=row, library=jnp)
        ours = jax.jit(partial(expectation, f=target, d=d, domain=wide_gaussian, n=64, rtol=RTOL))
        mine = ours(jax.random.key(0))
        peers: dict[str, Callable[[PaperRow], Answer]] = {"qmc_quad": by_qmc_quad}
        if importlib.util.find_spec("vegas"):
            peers["vegas"] = by_vegas
        if importlib.util.find_spec("torchquad"):
            peers["torchquad"] = by_torchquad
        answers = {peer: method(row) for peer, method in peers.items()}
        evaluations = int(mine.evaluations)
        facts = {
            "exact": exact,
            "evaluations": {"lcjax": evaluations} | {peer: answer[1] for peer, answer in answers.items()},
            "last_evaluations": {"lcjax": evaluations} | {peer: answer[2] for peer, answer in answers.items()},
            "relative_error": {"lcjax": float(mine.value) / exact - 1}
            | {peer: answer[0] / exact - 1 for peer, answer in answers.items()},
        }
        runs: dict[str, Callable[[], Any]] = {"lcjax": partial(ours, jax.random.key(0))}
        runs |= {peer: partial(method, row) for peer, method in peers.items()}
        demands = dict.fromkeys(peers, 1.0)
        yield Case(f"expectation to {RTOL:g}, {name_of(row)}, d={d}", runs, demands=demands, facts=facts)


def coverage() -> Iterable[Case]:
    """Yield the fraction of 200 seeds whose 95 % interval contains the value of the quadrature."""
    for row in ROWS:
        d, exact = row.dimension, quadrature(row)
        keys = jax.random.split(jax.random.key(0), 200)
        target = partial(integrand, row=row, library=jnp)
        every = jax.jit(jax.vmap(partial(expectation, f=target, d=d, domain=wide_gaussian, n=1024)))
        found = every(keys)
        reach = scipy.stats.t.ppf(0.975, found.replicates.shape[1] - 1) * np.asarray(found.standard_error)
        covered = float(np.mean(np.abs(np.asarray(found.value) - exact) <= reach))
        facts = {"coverage": covered, "relative_standard_error": float(jnp.median(found.standard_error)) / exact}
        yield Case(f"coverage of 200 intervals, {name_of(row)}, d={d}", {"lcjax": partial(every, keys)}, facts=facts)


if __name__ == "__main__":
    main({"tolerance": to_tolerance, "coverage": coverage}, __doc__ or "")
