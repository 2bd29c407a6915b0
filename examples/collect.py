"""Learning curves of three trainers, forecast and with the next measurement: scikit-learn, a command, a net in NNX.

Run it without arguments. With `--train SIZE SEED INDICES` it is the command: it trains once and prints its metrics.
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB

import lcjax as lc

SIZES = (75, 150, 300, 600, 1100)
DATA = lc.load_data("digits")
INPUTS, TARGETS = np.asarray(DATA.train.inputs).reshape(-1, 64), np.asarray(DATA.train.targets)
TEST_INPUTS, TEST_TARGETS = np.asarray(DATA.test.inputs).reshape(-1, 64), np.asarray(DATA.test.targets)


def train_command(file):
    """Train on the examples in a file of indices, and print the metrics as the last line."""
    rows = np.loadtxt(file, int)
    model = GaussianNB(var_smoothing=0.01).fit(INPUTS[rows], TARGETS[rows])
    print("trained")
    print(json.dumps({"error": 1 - model.score(TEST_INPUTS, TEST_TARGETS)}))


class Net(nnx.Module):
    """A perceptron."""

    def __init__(self, rngs):
        self.hidden, self.head = nnx.Linear(64, 64, rngs=rngs), nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, x):
        """Return the scores of the classes."""
        return self.head(jax.nn.relu(self.hidden(x)))


@nnx.jit
def train_step(net, optimizer, inputs, targets):
    """Take one step."""

    def loss(net):
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(net(inputs), targets))

    optimizer.update(net, nnx.grad(loss)(net))


def train_net(seed, indices):
    """Train a net on some of the examples, and return its metrics."""
    rng, net = np.random.default_rng(seed), Net(nnx.Rngs(seed))
    optimizer = nnx.Optimizer(net, optax.adam(2e-3), wrt=nnx.Param)
    for _ in range(400):
        rows = rng.choice(indices, 64)
        train_step(net, optimizer, INPUTS[rows] / 16, TARGETS[rows])
    scores = jnp.argmax(net(TEST_INPUTS / 16), axis=1)
    return {"error": float(jnp.mean(scores != TEST_TARGETS))}


def main():
    """Collect, forecast and print."""
    command = lc.studies.Command((sys.executable, str(Path(__file__).resolve()), "--train", "{indices}"))
    trainers = {
        "random forest": (RandomForestClassifier(30), {"data": DATA, "scoring": "accuracy"}),
        "naive Bayes, by a command": (command, {"labels": TARGETS}),
        "net in NNX": (train_net, {"labels": TARGETS}),
    }
    for name, (trainer, options) in trainers.items():
        table = lc.collect(trainer, SIZES, repeats=2, **options)
        curve = table.curves()
        fitted = lc.studies.fit_learning_curves(jax.random.key(0), curve, target_error=0.03, draws=256)
        answer, plan = fitted.target.size_for_error, fitted.target.next_size
        print(
            f"{name}: error {curve.curve.error[0, -1]:.3f} with {SIZES[-1]:,} examples, forecast "
            f"{fitted.predicted[0, 1]:.3f} with four times as many; 0.03 needs {answer.value[0]:,.0f} "
            f"({answer.low[0]:,.0f} to {answer.high[0]:,.0f}); measure next: {plan.size[0]:,.0f} examples"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train_command(sys.argv[2])
    else:
        main()
