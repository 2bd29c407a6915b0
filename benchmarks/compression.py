"""Pruning curves of 64 networks against a Python loop over PyTorch: `python -m benchmarks.compression`.

The networks are 64 perceptrons with one hidden layer, of two sizes: 64-32-10 on 240 examples, like the validation set
of the digits, and 180-50-3 on 600, like that of dna in Sharma et al. (2019), where the arithmetic of the evaluation,
which both need, dominates. The peer is the loop that a user of PyTorch would write: for each network and threshold it
makes a copy, masks each parameter with `prune.custom_from_mask`, makes the mask permanent with `prune.remove`, and
computes the accuracy and the number of remaining parameters. For quantization, which `torch.nn.utils.prune` does not
provide, it rounds every parameter of a copy to the format. Without PyTorch only lcjax is timed. Both give the same
accuracies, except for examples that are decided by rounding.
"""

import copy
import importlib.util
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import Case, main
from lcjax.compression.pruning_curve import SMALLEST, prune_curve
from lcjax.compression.quantization_curve import quantize_curve

NETS, STEPS = 64, 50
SIZES = {"digits": (64, 32, 10, 240), "dna": (180, 50, 3, 600)}  # inputs, hidden, classes, examples
FORMATS = [(bits, fraction) for bits in (16, 12, 8, 6, 4) for fraction in range(2, 12)]  # 50 of them


def problem(size: str) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return networks, as parameters with a leading axis, inputs and targets."""
    inputs_, hidden, classes, examples = SIZES[size]
    rng = np.random.default_rng(0)

    def layer(before: int, after: int) -> dict[str, np.ndarray]:
        kernel = rng.laplace(size=(NETS, before, after)) / np.sqrt(before)  # heavy tails, as in trained weights
        return {"kernel": kernel.astype("f4"), "bias": 0.1 * rng.normal(size=(NETS, after)).astype("f4")}

    params = {"hidden_0": layer(inputs_, hidden), "head": layer(hidden, classes)}
    inputs = (rng.random((examples, inputs_)) < 0.25).astype("f4")
    return params, inputs, rng.integers(0, classes, examples).astype("i4")


def accuracy(inputs: jax.Array, targets: jax.Array, params: Any) -> jax.Array:
    hidden = jax.nn.relu(inputs @ params["hidden_0"]["kernel"] + params["hidden_0"]["bias"])
    outputs = hidden @ params["head"]["kernel"] + params["head"]["bias"]
    return jnp.mean(jnp.argmax(outputs, axis=1) == targets)


def torch_nets(params: Any) -> list[Any]:
    import torch

    nets = []
    (_, before, hidden), classes = params["hidden_0"]["kernel"].shape, params["head"]["kernel"].shape[2]
    for i in range(NETS):
        net = torch.nn.Sequential(torch.nn.Linear(before, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, classes))
        for module, layer in ((net[0], params["hidden_0"]), (net[2], params["head"])):
            module.weight.data = torch.tensor(layer["kernel"][i].T.copy())
            module.bias.data = torch.tensor(layer["bias"][i])
        nets.append(net)
    return nets


def torch_prune(nets: list[Any], inputs: Any, targets: Any) -> tuple[np.ndarray, np.ndarray]:
    import torch
    from torch.nn.utils import prune

    found, left = np.zeros((NETS, STEPS)), np.zeros((NETS, STEPS), int)
    with torch.inference_mode(False), torch.no_grad():
        for i, net in enumerate(nets):
            tops = [max(float(m.weight.abs().max()), float(m.bias.abs().max())) for m in (net[0], net[2])]
            for step in range(STEPS):
                pruned = copy.deepcopy(net)
                for module, top in zip((pruned[0], pruned[2]), tops, strict=True):
                    threshold = min(SMALLEST + (top - SMALLEST) * step / (STEPS - 1), top)
                    for name in ("weight", "bias"):
                        prune.custom_from_mask(module, name, getattr(module, name).abs() >= threshold)
                        prune.remove(module, name)
                found[i, step] = (pruned(inputs).argmax(1) == targets).float().mean()
                left[i, step] = sum(int(torch.count_nonzero(p)) for p in pruned.parameters())
    return found, left


def torch_quantize(nets: list[Any], inputs: Any, targets: Any) -> np.ndarray:
    import torch

    found = np.zeros((NETS, len(FORMATS)))
    with torch.no_grad():
        for i, net in enumerate(nets):
            for j, (bits, fraction) in enumerate(FORMATS):
                quantized = copy.deepcopy(net)
                for parameter in quantized.parameters():
                    whole = torch.round(parameter * 2.0**fraction).clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
                    parameter.copy_(whole / 2.0**fraction)
                found[i, j] = (quantized(inputs).argmax(1) == targets).float().mean()
    return found


def peers(params: Any, inputs: np.ndarray, targets: np.ndarray) -> dict[str, Callable[[], Any]]:
    if not importlib.util.find_spec("torch"):
        return {}
    import torch

    arguments = torch_nets(params), torch.tensor(inputs), torch.tensor(targets, dtype=torch.int64)
    return {"prune": partial(torch_prune, *arguments), "quantize": partial(torch_quantize, *arguments)}


def curves(size: str) -> Iterable[Case]:
    """Yield the pruning and the quantization curve of networks of one size."""
    params, inputs, targets = problem(size)
    resident = jax.tree.map(jnp.asarray, params)
    evaluate = jax.tree_util.Partial(accuracy, jnp.asarray(inputs), jnp.asarray(targets))
    others = peers(params, inputs, targets)
    before, hidden, classes, examples = SIZES[size]
    net = f"{NETS} nets {before}-{hidden}-{classes}, {examples} examples"

    ours: Callable[[], Any] = partial(prune_curve, resident, evaluate, steps=STEPS, models=True)
    runs: dict[str, Callable[[], Any]] = {"lcjax": ours}
    facts: dict[str, Any] = {}
    if others:
        runs["torch loop"] = others["prune"]
        mine, (theirs, left) = ours(), others["prune"]()
        facts = {
            "largest_accuracy_difference": float(np.abs(np.asarray(mine.accuracy)[:, 1:] - theirs).max()),
            "same_survivors": float(np.mean(np.asarray(mine.surviving)[:, 1:] == left)),
        }
    flops = 2.0 * NETS * STEPS * examples * hidden * (before + classes)
    yield Case(f"prune_curve, {net} x {STEPS} thresholds", runs, flops=flops, demands={"torch loop": 0.1}, facts=facts)

    bits, fractions = dict.fromkeys(b for b, _ in FORMATS), dict.fromkeys(f for _, f in FORMATS)
    ours = partial(quantize_curve, resident, evaluate, bits=tuple(bits), fraction_bits=tuple(fractions), models=True)
    runs = {"lcjax": ours}
    facts = {}
    if others:
        runs["torch loop"] = others["quantize"]
        grid = np.asarray(ours().grid_accuracy).reshape(NETS, -1)
        facts = {"largest_accuracy_difference": float(np.abs(grid - others["quantize"]()).max())}
    name = f"quantize_curve, {net} x {len(FORMATS)} formats"
    yield Case(name, runs, flops=flops, demands={"torch loop": 0.1}, facts=facts)


if __name__ == "__main__":
    main({size: partial(curves, size) for size in SIZES}, __doc__ or "")
