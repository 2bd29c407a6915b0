"""Compile the kernels with the real TPU compiler, without a TPU: `python -m benchmarks.tpu --topology v5e:2x2`.

Needs the `libtpu` wheel, in a separate environment because it slows down CPU runs:

    python -m venv .tpu && .tpu/bin/pip install -e . libtpu && .tpu/bin/python -m benchmarks.tpu

For each kernel it prints one JSON line with the bytes of arguments, results and temporaries and the estimates of the
compiler's cost model (floating-point operations, bytes accessed and, where available, time).
"""

import argparse
import importlib.metadata
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_ID": "0",
    "JAX_PLATFORMS": "cpu",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topology", default="v5e:2x2")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kernel", action="append", help="Kernel, as named in the output; repeatable [default: all].")
    parser.add_argument("--output", type=Path, help="File to append JSON lines to.")
    options = parser.parse_args()
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)

    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.experimental import topologies
    from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

    from lcjax.kernels import neighbors
    from lcjax.kernels.integration import capped_mean, expectation
    from lcjax.kernels.sobol import chi_quantile, sobol, sobol_gaussian

    topology = topologies.get_topology_desc(platform="tpu", topology_name=options.topology)
    one_device = SingleDeviceSharding(topology.devices[0])
    mesh = Mesh(np.asarray(topology.devices), ("points",))

    def array(*shape: int, dtype: type = np.float32) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=one_device)

    def shared(*shape: int, split: str | None = None) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, np.float32, sharding=NamedSharding(mesh, PartitionSpec(split)))

    def capped(z: jax.Array) -> jax.Array:
        return jnp.minimum(1, 0.1 * jnp.exp(jnp.sum(z**2, axis=1) / 6))

    def nearest(search: neighbors.Search) -> Callable[..., neighbors.Neighbors]:
        return partial(neighbors.nearest_neighbors, search=search)

    n, words = options.rows, array(2, dtype=np.uint32)
    key = jax.random.wrap_key_data
    sharded = partial(neighbors.sharded_neighbors, mesh=mesh, point_axis="points")
    kernels: dict[str, tuple[Callable[..., Any], *tuple[Any, ...]]] = {
        "sobol d=3": (lambda data: sobol(key(data), 1 << 16, 3), words),
        "chi_quantile d=3": (lambda p: chi_quantile(p, 3), array(n)),
        "sobol_gaussian d=3": (lambda data: sobol_gaussian(key(data), 1 << 16, 3), words),
        "expectation d=3": (lambda data: expectation(key(data), capped, d=3, n=64, rtol=1e-4), words),
        "capped_mean": (capped_mean, array(n), array(100)),
        "brute_force_search d=3": (nearest(neighbors.brute_force_search), array(1000, 3), array(1000, 3)),
        "matmul_search d=64": (nearest(neighbors.matmul_search), array(n, 64), array(n, 64)),
        "box_search d=3": (nearest(neighbors.box_search), array(n, 3), array(n, 3)),
        "sorted_line_search d=1": (nearest(neighbors.sorted_line_search), array(n, 1), array(n, 1)),
        "sharded_neighbors d=64": (sharded, shared(n, 64), shared(n, 64, split="points")),
    }
    if options.kernel:
        kernels = {name: kernels[name] for name in options.kernel}
    for name, (function, *arguments) in kernels.items():
        start = time.perf_counter()
        compiled = jax.jit(function).lower(*arguments).compile()
        memory, cost = compiled.memory_analysis(), compiled.cost_analysis() or {}
        line = {
            "kernel": name,
            "topology": options.topology,
            "rows": n,
            "versions": {package: importlib.metadata.version(package) for package in ("jax", "jaxlib", "libtpu")},
            "compile_seconds": round(time.perf_counter() - start, 2),
            "argument_bytes": getattr(memory, "argument_size_in_bytes", None),
            "output_bytes": getattr(memory, "output_size_in_bytes", None),
            "temporary_bytes": getattr(memory, "temp_size_in_bytes", None),
            "flops": cost.get("flops"),
            "bytes_accessed": cost.get("bytes accessed"),
            "optimal_seconds": cost.get("optimal_seconds"),
        }
        print(json.dumps(line), flush=True)
        if options.output:
            options.output.parent.mkdir(parents=True, exist_ok=True)
            with options.output.open("a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
