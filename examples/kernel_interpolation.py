"""Interpolate images by kernels without regularization, and see the norm of each solution beside its test error.

`python examples/kernel_interpolation.py --data idx:FOLDER --rows 10000` takes MNIST; `--features gabor` or `filters`
puts fixed features before the kernel. More rows than memory holds: `--iterative`.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import lcjax as lc
from lcjax.files import write_json
from lcjax.provenance import environment

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="digits", help="digits, idx:DIR, npz:FILE, tfds:NAME")
parser.add_argument("--rows", type=int, default=1000, help="training images")
parser.add_argument("--features", choices=["pixels", "gabor", "filters"], default="pixels")
parser.add_argument("--bandwidth", type=float, default=None, help="of the Gaussian kernel; by validation if not given")
parser.add_argument("--ridge", type=float, default=0.0)
parser.add_argument("--filters", type=int, default=1000, help="random filters")
parser.add_argument("--largest", type=float, default=None, help="value of a white pixel; the largest one if not given")
parser.add_argument("--iterative", action="store_true", help="conjugate gradients over the rows of all devices")
parser.add_argument("--output", type=Path, help="JSON file")
options = parser.parse_args()

key = jax.random.key(0)
data = lc.load_data(options.data)
order = np.asarray(lc.stratified_order(key, np.asarray(data.train.targets)))[: options.rows]
white = options.largest or float(np.max(data.train.inputs))


def prepared(part, rows=slice(None)):
    images = (np.asarray(part.inputs)[rows] / white).astype(np.float32)
    return images, np.asarray(part.targets)[rows]


(images, labels), (held_out, held_out_labels) = prepared(data.train, order), prepared(data.validation, slice(2000))
tests, test_labels = prepared(data.test)
targets = np.eye(data.classes, dtype=np.float32)[labels]
result = {"options": vars(options) | {"output": None}, "environment": environment()}


def error(outputs, wanted):
    return float(np.mean(np.argmax(np.asarray(outputs), axis=1) != wanted))


started = time.monotonic()
if options.features == "filters":
    filters = lc.random_filters(key, images, options.filters)
    everything = np.concatenate([images, tests])
    gram = lc.random_filter_gram(filters, everything, images)
    for ridge in sorted({0.0, options.ridge}):
        alpha, norm = lc.gram_interpolation(gram[: len(images)], targets, ridge=ridge)
        outputs = jnp.matmul(gram[len(images) :], alpha, precision=jax.lax.Precision.HIGHEST)
        result[f"ridge {ridge:g}"] = {"norm": float(norm), "test error": error(outputs, test_labels)}
    result["seconds"] = time.monotonic() - started
else:
    if options.features == "gabor":
        images, held_out, tests = (lc.gabor_features(part) for part in (images, held_out, tests))
    flat = np.asarray(images).reshape(len(images), -1)
    bandwidth = options.bandwidth
    if bandwidth is None:  # on a fifth of the rows, in multiples of one over the mean squared distance
        few, scale = len(images) // 5, float(1 / (2 * flat.var(axis=0).sum()))
        tried = {}
        for factor in (0.5, 1.0, 2.0, 4.0, 8.0):
            found = lc.kernel_interpolation(images[:few], targets[:few], lc.gaussian_kernel(factor * scale))
            tried[factor * scale] = error(found.predict(held_out), held_out_labels)
        bandwidth = min(tried, key=tried.get)
        result["validation error by bandwidth"] = {f"{value:.4g}": found for value, found in tried.items()}
    started = time.monotonic()
    found = lc.kernel_interpolation(
        images,
        targets,
        lc.gaussian_kernel(bandwidth),
        ridge=options.ridge,
        iterative=options.iterative,
        mesh=jax.make_mesh((jax.device_count(),), ("rows",)) if options.iterative else None,
        rank=min(500, len(images) // 4) if options.iterative else 0,
    )
    norm = float(found.norm)
    result |= {"bandwidth": bandwidth, "norm": norm, "residual": float(found.residual)}
    result |= {"iterations": int(found.iterations), "solve seconds": time.monotonic() - started}
    outputs = found.predict(tests)
    result["solve and test seconds"] = time.monotonic() - started
result["test error"] = error(outputs, test_labels)
print(json.dumps({name: value for name, value in result.items() if name != "environment"}, indent=2))
if options.output:
    write_json(options.output, result)
