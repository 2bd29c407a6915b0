"""Nearest neighbors compared with SciPy, FAISS, scikit-learn, PyTorch, jaxkd: `python -m benchmarks.neighbors`.

Construction and query are timed together, because the features change every time. Peers that are not installed are
skipped.
"""

import importlib.util
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import Case, main
from lcjax.kernels.neighbors import box_search, matmul_search, nearest_neighbors

Runs = dict[str, Callable[[], Any]]
jitted = jax.jit(nearest_neighbors, static_argnums=2)


def data(n: int, m: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(m, d)).astype(np.float32), rng.normal(size=(n, d)).astype(np.float32)


def peer(name: str, queries: np.ndarray, points: np.ndarray, k: int = 1) -> Runs:
    """Return the peer of that name if it is installed."""
    if importlib.util.find_spec({"cKDTree": "scipy", "scikit-learn": "sklearn"}.get(name, name)) is None:
        return {}
    if name == "cKDTree":
        from scipy.spatial import cKDTree

        return {name: lambda: cKDTree(points).query(queries, k=k, workers=-1)[1]}
    if name == "faiss":
        import faiss

        def flat() -> Any:
            index = faiss.IndexFlatL2(points.shape[1])
            index.add(points)
            return index.search(queries, k)[1]

        return {name: flat}
    if name == "scikit-learn":
        from sklearn.neighbors import NearestNeighbors

        return {name: lambda: NearestNeighbors(n_neighbors=k, n_jobs=-1).fit(points).kneighbors(queries)[1]}
    if name == "torch":
        import torch

        q, x = torch.from_numpy(queries), torch.from_numpy(points)
        return {name: lambda: [torch.cdist(part, x).min(1).values.sum().item() for part in q.split(1024)]}
    if name == "jaxkd":
        import jaxkd

        search = jax.jit(lambda q, x: jaxkd.query_neighbors(jaxkd.build_tree(x), q, k=k))
        q, x = jnp.asarray(queries), jnp.asarray(points)
        return {name: lambda: search(q, x)}
    raise ValueError(f"There is no peer {name!r}.")


def few_dimensions() -> Iterable[Case]:
    for d, n in [(d, n) for n in (100_000, 1_000_000) for d in (1, 2, 3, 4)] + [(8, 100_000)]:
        queries, points = data(n, n // 10, d)
        method = nearest_neighbors(queries[:8], points, 1).method
        label = "delegated to cKDTree" if method == "kdtree_search" else f"own, {method}"
        runs: Runs = {"lcjax": partial(nearest_neighbors, queries, points)}
        runs |= peer("cKDTree", queries, points) | (peer("scikit-learn", queries, points) if d == 3 else {})
        yield Case(
            f"concrete d={d} n={n} m={n // 10} ({label})",
            runs,
            demands={"cKDTree": 0.7 if d == 1 else 1.05 if method == "kdtree_search" or d == 8 else 1.0},
        )


def under_jit() -> Iterable[Case]:
    for d, n in [(d, n) for n in (100_000, 1_000_000) for d in (1, 2, 3, 4)]:
        queries, points = data(n, n // 10, d)
        q, x = jnp.asarray(queries), jnp.asarray(points)
        runs: Runs = {"lcjax": partial(jitted, q, x, 1)} | peer("cKDTree", queries, points)
        runs |= peer("jaxkd", queries, points)
        yield Case(f"jit d={d} n={n} m={n // 10}", runs, demands={"cKDTree": 4.0, "jaxkd": 0.2})


def many_dimensions() -> Iterable[Case]:
    n, m = 50_000, 10_000
    for d in (64, 512):
        queries, points = data(n, m, d)
        q, x = jnp.asarray(queries), jnp.asarray(points)
        runs: Runs = {"lcjax": partial(nearest_neighbors, q, x)}
        for name in ("faiss", "torch", "scikit-learn"):
            runs |= peer(name, queries, points)
        yield Case(f"products d={d} n={n} m={m}", runs, flops=2.0 * n * m * d, demands={"faiss": 1.0})


def growth() -> Iterable[Case]:
    """Yield pairs of sizes: the time at one size divided by the time at a tenth of it."""
    for d in (1, 2, 3):
        search: Runs = {}
        tree: Runs = {}
        for n in (1_000_000, 100_000, 10_000):
            queries, points = data(n, n, d)
            search[f"lcjax n={n}"] = partial(jitted, jnp.asarray(queries), jnp.asarray(points), 1)
            tree[f"cKDTree n={n}"] = peer("cKDTree", queries, points)["cKDTree"]
        for name, runs, demand in (("lcjax", search, 14.0), ("cKDTree", tree, None)):
            for large, small in itertools.pairwise(runs):
                pair = {large: runs[large], small: runs[small]}
                yield Case(
                    f"growth {name} d={d} n=m: {large.split('=')[1]} / {small.split('=')[1]}",
                    pair,
                    demands={small: demand} if demand else {},
                )


def memory() -> Iterable[Case]:
    """Yield temporary memory as counted by the compiler, and the growth of peak memory during one search."""
    rows = jax.ShapeDtypeStruct((100_000, 64), np.float32)
    search = partial(nearest_neighbors, search=matmul_search)
    analysis = jax.jit(search).lower(rows, rows).compile().memory_analysis()
    measured = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True).stdout
    facts = {
        "temporary_bytes": analysis.temp_size_in_bytes if analysis else None,
        "peak_bytes_above_inputs": int(measured),
    }
    queries, points = data(100_000, 100_000, 64)
    run: Runs = {"lcjax": partial(search, queries, points)}
    yield Case("memory d=64 n=m=100000", run, flops=2e10 * 64, facts=facts)


PEAK = """
import resource
import jax, numpy as np
from lcjax.kernels.neighbors import nearest_neighbors
rng = np.random.default_rng(0)
queries, points = (jax.device_put(rng.normal(size=(100_000, 64)).astype(np.float32)) for _ in range(2))
search = jax.jit(nearest_neighbors).lower(queries, points).compile()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
search(queries, points).distance.block_until_ready()
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


def gpu() -> Iterable[Case]:
    n = 1_000_000
    queries, points = (jnp.asarray(x) for x in data(n, n, 3))
    for k in (1, 30):
        runs: Runs = {"lcjax": partial(nearest_neighbors, queries, points, k, search=box_search)}
        yield Case(f"tiles d=3 n=m={n} k={k}", runs)
    for d in (64, 512):
        queries, points = (jnp.asarray(x) for x in data(500_000, 100_000, d))
        runs = {"lcjax": partial(nearest_neighbors, queries, points, search=matmul_search)}
        yield Case(f"products d={d} n=500000 m=100000", runs, flops=2.0 * 5e10 * d)


SUITES = {
    "few": few_dimensions,
    "jit": under_jit,
    "many": many_dimensions,
    "growth": growth,
    "memory": memory,
    "gpu": gpu,
}

if __name__ == "__main__":
    main({k: v for k, v in SUITES.items() if k != "gpu" or jax.default_backend() != "cpu"}, __doc__ or "")
