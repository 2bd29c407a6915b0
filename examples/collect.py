"""Learning curves of a random forest and of networks in NNX and Equinox: collected, forecast and planned.

The networks train with all sizes and seeds at once, in one compiled program.
"""

import importlib.util

import jax
from flax import nnx
from sklearn.ensemble import RandomForestClassifier

import lcjax as lc

SIZES = (75, 150, 300, 600, 1100)
DATA = lc.load_data("digits")  # or lc.data_from_arrays(inputs, targets)


class Net(nnx.Module):
    """A perceptron in Flax NNX."""

    def __init__(self, rngs):
        self.hidden, self.head = nnx.Linear(64, 64, rngs=rngs), nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, x):
        """Return the scores of the classes."""
        return self.head(jax.nn.relu(self.hidden(x.reshape(len(x), 64))))


def equinox_trainer():
    """Return a trainer of a perceptron in Equinox."""
    import equinox as eqx

    class EquinoxNet(eqx.Module):
        net: eqx.nn.MLP

        def __init__(self, *, key):
            self.net = eqx.nn.MLP(64, 10, 64, 1, key=key)

        def __call__(self, x):
            return self.net(x.reshape(64))

    return lc.studies.JaxTrainer.for_model(lc.models.from_equinox(EquinoxNet), DATA, steps=400, learning_rate=2e-3)


def report(name, table, target):
    """Print the measured error, the forecast, the number of examples for a target, and how many to collect."""
    fitted = lc.studies.fit_learning_curves(jax.random.key(0), table.curves("accuracy"), target_error=target)
    answer, following = fitted.target.size_for_error, fitted.target.next_size
    plan = lc.plan_collection(jax.random.key(1), fitted.forecast, target=target, cost=0.1, budget=500.0, rounds=2)
    print(
        f"{name}: error {fitted.table.curve.error[0, -1]:.3f} with {SIZES[-1]:,} examples, forecast "
        f"{fitted.predicted[0, 1]:.3f} with four times as many; {target} needs {answer.value[0]:,.0f} "
        f"({answer.low[0]:,.0f} to {answer.high[0]:,.0f}); measure next: {following.size[0]:,.0f} examples. "
        f"With 500 for examples that cost 0.1 each: {plan.sentence()}"
    )


def main():
    """Collect, forecast and print."""
    forest = lc.collect(RandomForestClassifier(30), SIZES, repeats=2, data=DATA, scoring="accuracy")
    report("random forest", forest, 0.03)
    net = lc.studies.JaxTrainer.for_model(lc.models.from_nnx(Net), DATA, steps=400, learning_rate=2e-3)
    report("net in NNX", lc.collect(net, SIZES), 0.03)
    if importlib.util.find_spec("equinox") is None:
        print("net in Equinox: left out, as equinox is not installed")
    else:
        report("net in Equinox", lc.collect(equinox_trainer(), SIZES), 0.03)


if __name__ == "__main__":
    main()
