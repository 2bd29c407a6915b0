"""Compile the kernels with the real TPU compiler, without a TPU: `python -m benchmarks.tpu --topology v5e:2x2`.

Needs the `libtpu` wheel, in an environment of its own because it slows CPU runs where it is installed:

    python -m venv .tpu && .tpu/bin/pip install -e . libtpu && .tpu/bin/python -m benchmarks.tpu

For each kernel it prints one JSON line: bytes of arguments, results and temporaries, and what the compiler's cost
model states (floating-point operations, bytes accessed, its time estimate where it gives one).
"""

import argparse
import json
import os
import time
from collections.abc import Callable
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
    options = parser.parse_args()
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)

    import jax
    import numpy as np
    from jax.experimental import topologies
    from jax.sharding import SingleDeviceSharding

    from lcjax.kernels import neighbors
    from lcjax.kernels.integration import capped_mean
    from lcjax.kernels.point_sets import sobol_gaussian

    topology = topologies.get_topology_desc(platform="tpu", topology_name=options.topology)
    sharding = SingleDeviceSharding(topology.devices[0])

    def array(*shape: int, dtype: type = np.float32) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

    n = options.rows
    kernels: dict[str, tuple[Callable[..., Any], *tuple[Any, ...]]] = {
        "line d=1": (neighbors.line_neighbors, array(n, 1), array(n, 1)),
        "tiles d=3": (neighbors.tiles_neighbors, array(n, 3), array(n, 3)),
        "products d=64": (neighbors.products_neighbors, array(n, 64), array(n, 64)),
        "scan d=3": (neighbors.scan_neighbors, array(1000, 3), array(1000, 3)),
        "capped_mean": (capped_mean, array(n), array(100)),
        "sobol_gaussian d=3": (
            lambda data: sobol_gaussian(jax.random.wrap_key_data(data), 1 << 16, 3),
            array(2, dtype=np.uint32),
        ),
    }
    for name, (function, *arguments) in kernels.items():
        start = time.perf_counter()
        compiled = jax.jit(function).lower(*arguments).compile()
        memory, cost = compiled.memory_analysis(), compiled.cost_analysis() or {}
        line = {
            "kernel": name,
            "topology": options.topology,
            "rows": n,
            "compile_seconds": round(time.perf_counter() - start, 2),
            "argument_bytes": getattr(memory, "argument_size_in_bytes", None),
            "output_bytes": getattr(memory, "output_size_in_bytes", None),
            "temporary_bytes": getattr(memory, "temp_size_in_bytes", None),
            "flops": cost.get("flops"),
            "bytes_accessed": cost.get("bytes accessed"),
            "optimal_seconds": cost.get("optimal_seconds"),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
