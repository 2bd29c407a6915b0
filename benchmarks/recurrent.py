"""Sweeps of recurrent networks compared with `nn.LSTM`: `python -m benchmarks.recurrent [CASE ...] --output FILE`.

Eight runs, with the execution that a sweep chooses and with others, are compared with a plain loop over the steps of
one equivalent network with PyTorch's `nn.LSTM`, in model steps per second and with the turns of `benchmarks.sweep`.
Batch size, unroll and optimizer (SGD with momentum 0.9) are the same. Before timing, the networks are checked to be the
same: equal numbers of parameters, the same loss at the same weights, and for words, whose consecutive windows carry and
detach the state, the same weights after five steps. PyTorch's loop is timed with its default number of threads and with
one.
"""

import argparse
import functools
import importlib.util
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lcjax as lc
from benchmarks.harness import machine
from benchmarks.sweep import Line, compared, fill, speed_text, train_slots
from lcjax.models.sequence.language import WordLanguageModel
from lcjax.models.sequence.speech import DeepSpeech
from lcjax.models.sequence_losses import character_mistakes, ctc, token_cross_entropy, token_mistakes, tokens_of
from lcjax.training import Budget, Scoring, consecutive, constant, epochs, momentum
from lcjax.training.concurrency import Execution
from lcjax.training.execution import step as steps
from lcjax.training.execution.heuristics import choose_execution
from lcjax.training.execution.local import LocalExecutor

RUNS = 8
RATE = 1.0
OTHERS = ("vmap:8", "vmap:8@2", "map:2@2", "map:1")  # executions in addition to the default
CHECKED = 5  # steps
TOLERANCE = 1e-5

Weights = dict[str, np.ndarray]


class Words:
    """A word language model on one text, whose parts are read in parallel lanes."""

    demand: float | None = 3.0

    def __init__(self, units: int, vocabulary: int = 1000, window: int = 80, lanes: int = 8, length: int = 64) -> None:
        self.lanes, self.length, self.units, self.vocabulary = lanes, length, units, vocabulary
        self.layers = 2
        text = np.random.default_rng(0).integers(0, vocabulary, lanes * length * window + 1).astype(np.int32)
        windows = lc.Examples(text[:-1].reshape(-1, window), text[1:].reshape(-1, window))
        self.data = lc.Data(windows, windows, None, classes=vocabulary)
        self.program = lc.Program(
            WordLanguageModel(vocabulary, units, self.layers, tied=True),
            *(token_cross_entropy, momentum, constant, lanes, Budget(steps=10**6), consecutive),
            scoring=Scoring(tokens_of, token_mistakes),
        )

    def theirs(self) -> tuple[Any, Callable[[int], Any]]:
        """Return PyTorch's network, and its loss at a step; time is the first axis, as in `nn.LSTM`."""
        import torch
        from torch import nn as layers

        class Net(layers.Module):
            def __init__(self, vocabulary: int, units: int, depth: int) -> None:
                super().__init__()
                self.embedding = layers.Embedding(vocabulary, units)
                self.lstm = layers.LSTM(units, units, num_layers=depth)
                self.bias = layers.Parameter(torch.zeros(vocabulary))

            def forward(self, tokens: Any, state: Any) -> tuple[Any, Any]:
                values, state = self.lstm(self.embedding(tokens), state)
                return layers.functional.linear(values, self.embedding.weight, self.bias), state

        def timed(tokens: Any) -> Any:  # step, time, lane
            lanes = np.asarray(tokens).reshape(self.lanes, self.length, -1)
            return torch.from_numpy(np.ascontiguousarray(lanes.transpose(1, 2, 0))).long()

        inputs, targets = timed(self.data.train.inputs), timed(self.data.train.targets)
        net, state = Net(self.vocabulary, self.units, self.layers), None

        def loss(step: int) -> Any:
            nonlocal state
            place = step % self.length
            logits, after = net(inputs[place], state if place else None)
            state = tuple(leaf.detach() for leaf in after)
            return layers.functional.cross_entropy(logits.flatten(0, 1), targets[place].flatten())

        return net, loss

    def weights(self, params: Any) -> Weights:
        """Return our weights under PyTorch's names."""
        found = {"embedding.weight": params["embedding"]["embedding"], "bias": params["head"]["bias"]}
        for i in range(self.layers):
            found |= _lstm("lstm", f"l{i}", params[f"recurrent_{i}"])
        return found


class Speech:
    """Deep Speech 2 with small convolutions and CTC; all utterances have the same length, so nothing is masked."""

    demand: float | None = None
    batch, frames, bins, labels = 16, 200, 81, 5

    def __init__(self, units: int, layers: int = 4) -> None:
        self.units, self.layers, n = units, layers, 4 * self.batch
        rng = np.random.default_rng(0)
        frames = rng.normal(size=(n, self.frames, self.bins)).astype(np.float32)
        inputs = {"frames": frames, "length": np.full(n, self.frames, np.int32)}
        examples = lc.Examples(inputs, rng.integers(1, 11, (n, self.labels)).astype(np.int32))
        self.data = lc.Data(examples, examples, None, classes=11)
        self.program = lc.Program(
            DeepSpeech(11, units, layers, filters=(4, 4), kernels=((11, 5), (11, 5))),
            *(ctc, momentum, constant, self.batch, Budget(steps=10**6), epochs),
            scoring=Scoring(tokens_of, character_mistakes),
        )

    def theirs(self) -> tuple[Any, Callable[[int], Any]]:
        """Return PyTorch's network, and its loss at a step: the utterances in turn."""
        import torch
        from torch import nn as layers

        class Net(layers.Module):
            def __init__(self, bins: int, units: int, depth: int) -> None:
                super().__init__()
                self.convolutions = layers.Sequential(
                    *(layers.Conv2d(1, 4, (5, 11), (2, 2), (2, 5)), layers.BatchNorm2d(4), layers.Hardtanh(0, 20)),
                    *(layers.Conv2d(4, 4, (5, 11), (1, 2), (2, 5)), layers.BatchNorm2d(4), layers.Hardtanh(0, 20)),
                )
                widths = [4 * math.ceil(bins / 4), *[units] * (depth - 1)]
                self.lstms = layers.ModuleList(layers.LSTM(width, units, bidirectional=True) for width in widths)
                self.norms = layers.ModuleList(layers.BatchNorm1d(units) for _ in widths)
                self.head = layers.Linear(units, 11, bias=False)

            def forward(self, frames: Any) -> Any:
                value = self.convolutions(frames[:, None]).permute(2, 0, 3, 1).flatten(2)
                for lstm, norm in zip(self.lstms, self.norms, strict=True):
                    ahead, back = lstm(value)[0].chunk(2, dim=-1)
                    value = norm((ahead + back).flatten(0, 1)).view_as(ahead)
                return self.head(value)

        inputs: Any = self.data.train.inputs
        frames = torch.from_numpy(inputs["frames"]).split(self.batch)
        targets = torch.from_numpy(np.asarray(self.data.train.targets)).long().split(self.batch)
        net, total = Net(self.bins, self.units, self.layers), layers.CTCLoss(reduction="sum")

        def loss(step: int) -> Any:
            labels = targets[step % len(targets)]
            scores = net(frames[step % len(frames)]).log_softmax(-1)
            lengths = [len(scores)] * self.batch, [self.labels] * self.batch
            return total(scores, labels, *lengths) / labels.numel()

        return net, loss

    def weights(self, params: Any) -> Weights:
        """Return our weights under PyTorch's names."""
        found: Weights = {"head.weight": params["head"]["kernel"].T}
        for i in range(2):
            kernel, bias = params[f"convolutions_{i}"]["kernel"], params[f"convolutions_{i}"]["bias"]
            found |= {f"convolutions.{3 * i}.weight": kernel.transpose(3, 2, 0, 1), f"convolutions.{3 * i}.bias": bias}
            found |= _norm(f"convolutions.{3 * i + 1}", params[f"convolution_norms_{i}"])
        for i in range(self.layers):
            layer = params[f"recurrent_{i}"]
            found |= _lstm(f"lstms.{i}", "l0", layer["forward"]) | _lstm(f"lstms.{i}", "l0_reverse", layer["backward"])
            found |= _norm(f"norms.{i}", params[f"norms_{i}"])
        return found


Net = Words | Speech
CASES: dict[str, Callable[[], Net]] = {
    "characters-16": lambda: Words(16, vocabulary=65),
    "words-48": lambda: Words(48),
    "words-128": lambda: Words(128),
    "speech-48": lambda: Speech(48),
}
NAMES = {
    "characters-16": "character LSTM of 16 units, 65 characters, 8 windows of 80",
    "words-48": "word LSTM of 48 units, 1,000 words, 8 windows of 80",
    "words-128": "word LSTM of 128 units, 1,000 words, 8 windows of 80",
    "speech-48": "speech LSTM of 48 units, CTC, 16 utterances of 200 frames",
}
STEPS = {  # per turn: ours, PyTorch's
    "characters-16": (320, 160),
    "words-48": (64, 48),
    "words-128": (24, 16),
    "speech-48": (8, 4),
}


def _lstm(name: str, suffix: str, layer: Any) -> Weights:
    return {
        f"{name}.weight_ih_{suffix}": layer["kernel"].T,
        f"{name}.weight_hh_{suffix}": layer["recurrent_kernel"].T,
        f"{name}.bias_ih_{suffix}": layer["bias"],
    }


def _norm(name: str, layer: Any) -> Weights:
    return {f"{name}.weight": layer["scale"], f"{name}.bias": layer["bias"]}


def orders(net: Net, width: int) -> jax.Array:
    """Return the same order for every run: the examples as they are."""
    return jnp.tile(jnp.arange(len(net.data.train.targets), dtype=jnp.int32), (width, 1))


def loop(net: Net, params: Any = None) -> tuple[Any, Callable[[int], list[float]]]:
    """Return PyTorch's network, with our weights if given, and a function that takes `count` further steps.

    PyTorch's LSTM has two biases, which are added; the second stays zero and is not trained.
    """
    import torch

    theirs, loss_at = net.theirs()
    for name, parameter in theirs.named_parameters():
        if "bias_hh" in name:
            parameter.requires_grad_(False).zero_()
    if params is not None:
        given = {name: torch.from_numpy(np.array(leaf)) for name, leaf in net.weights(params).items()}
        unknown = theirs.load_state_dict(given, strict=False).unexpected_keys
        if unknown:
            raise ValueError(f"PyTorch's net has no {', '.join(unknown)}.")
    trained = [parameter for parameter in theirs.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, RATE, momentum=0.9)
    done = 0

    def advance(count: int) -> list[float]:
        nonlocal done
        losses = []
        for _ in range(count):
            optimizer.zero_grad()
            loss = loss_at(done)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            done += 1
        return [float(loss) for loss in losses]

    return theirs, advance


def check(net: Net) -> Line:
    """Compare both networks: parameters, first losses, and for words the trained weights.

    Raises:
        ValueError: the networks differ.
    """
    program, data = net.program, net.data
    executor = LocalExecutor(jax.random.key(0), data, orders(net, 1), program, Execution("map", 1))
    slots = fill(executor, RATE)
    variables = jax.tree.map(lambda leaf: leaf[0], slots.variables)
    theirs, advance = loop(net, variables["params"])
    size = jnp.int32(len(data.train.targets))
    index = program.sampling(jax.random.key(0), jnp.int32(0), size, batch=program.batch)
    index = index if program.continuous else jnp.arange(program.batch)
    first = jax.tree.map(lambda leaf: leaf[index], data.train)
    begun = {name: value for name, value in variables.items() if name != steps.CARRY}
    outputs, _ = jax.jit(lambda begun: program.model.apply(begun, first.inputs, train=True, mutable=True))(begun)
    loss = float(jnp.sum(program.objective(outputs, first.targets)) / jnp.sum(tokens_of(first.targets)))
    counts = [sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))]
    counts.append(sum(leaf.numel() for leaf in theirs.parameters() if leaf.requires_grad))
    found: Line = {"parameters": counts[0], "loss": loss, "loss_apart": abs(advance(1)[0] - loss) / loss}
    if program.continuous:
        advance(CHECKED - 1)
        slots = executor.advance(slots, np.full(1, CHECKED, np.int32))
        trained, other = net.weights(jax.tree.map(lambda leaf: leaf[0], slots.variables["params"])), theirs.state_dict()
        found["weights_apart"] = max(float(np.abs(other[name].numpy() - leaf).max()) for name, leaf in trained.items())
    if counts[0] != counts[1] or max(value for name, value in found.items() if "apart" in name) > TOLERANCE:
        raise ValueError(f"The nets are not the same: {counts[1]:,} parameters in PyTorch, ours {found}.")
    return found


def speed(names: Iterable[str], rounds: int) -> Iterable[Line]:
    for name in names:
        net = CASES[name]()
        task, facts = jax.device_put(net.data), {}
        own, peer = STEPS[name]
        executor = LocalExecutor(jax.random.key(0), net.data, orders(net, 1), net.program, Execution("map", 1))
        slots = jax.eval_shape(lambda executor=executor: fill(executor))
        params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), slots.variables["params"])
        execution = str(choose_execution(params, [1000] * RUNS))
        competitors, counts = {}, {}
        for other in dict.fromkeys((execution, *OTHERS)):
            who = "lcjax" if other == execution else other
            lanes = orders(net, Execution.parse(other).width)
            competitors[who], counts[who] = train_slots(task, net.program, lanes, other, own), own
        if importlib.util.find_spec("torch") is not None:
            threads = _default_threads()
            facts = {**check(net), "torch_threads": threads}
            competitors["torch"], counts["torch"] = _in_threads(net, peer, threads), peer
            competitors["torch, one thread"], counts["torch, one thread"] = _in_threads(net, peer, 1), peer
        line = compared(f"{NAMES[name]}, {RUNS} runs", execution, competitors, counts, rounds, net.demand)
        yield {**line, **facts, "name": name}


@functools.cache
def _default_threads() -> int:
    """Return PyTorch's number of threads before it is set."""
    import torch

    return int(torch.get_num_threads())


def _in_threads(net: Net, count: int, threads: int) -> Callable[[], Any]:
    import torch

    _, advance = loop(net)

    def turn() -> Any:
        torch.set_num_threads(threads)
        return advance(count)

    return turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("case", nargs="*", choices=[*CASES, []], help=f"Any of {', '.join(CASES)} [default: all].")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, help="JSON file; a table (.md) is written next to it.")
    options = parser.parse_args()
    host, lines = machine(), []
    if options.output and options.output.exists():
        lines = json.loads(options.output.read_text())["lines"]
    for line in speed(options.case or CASES, options.rounds):
        print(json.dumps(line), flush=True)
        lines = [old for old in lines if old["case"] != line["case"]] + [line]
        if options.output:
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text(json.dumps({"machine": host, "lines": lines}, indent=1, default=float) + "\n")
            options.output.with_suffix(".md").write_text(speed_text(lines) + "\n")
    print(speed_text(lines))


if __name__ == "__main__":
    main()
