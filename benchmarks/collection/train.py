"""Training script of a user, without lcjax: one network on the examples in a file, its metrics as a line of JSON.

python train.py DATA.npz INDICES.txt SEED STEPS
"""

import json
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

BATCH, RATE, WIDTH = 64, 2e-3, 64


class Net(nn.Module):
    """A perceptron with one hidden layer."""

    @nn.compact
    def __call__(self, x):  # type: ignore[no-untyped-def]
        """Return the scores of the classes."""
        return nn.Dense(10)(nn.relu(nn.Dense(WIDTH)(x)))


def main() -> None:
    """Train, all steps in one compiled loop, and print the test error."""
    path, file, seed, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    data, rows = np.load(path), np.loadtxt(file, int)
    inputs, targets = jnp.asarray(data["inputs"][rows]), jnp.asarray(data["targets"][rows])
    net, optimizer = Net(), optax.adam(RATE)
    key_init, key_batches = jax.random.split(jax.random.key(seed))

    @jax.jit
    def train():  # type: ignore[no-untyped-def]
        params = net.init(key_init, inputs[:1])

        def step(carry, key):  # type: ignore[no-untyped-def]
            params, state = carry
            batch = jax.random.randint(key, (BATCH,), 0, len(rows))

            def loss(params):  # type: ignore[no-untyped-def]
                scores = net.apply(params, inputs[batch])
                return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(scores, targets[batch]))

            updates, state = optimizer.update(jax.grad(loss)(params), state, params)
            return (optax.apply_updates(params, updates), state), None

        (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), jax.random.split(key_batches, steps))
        scores = jnp.asarray(net.apply(params, data["test_inputs"]))
        return jnp.mean(jnp.argmax(scores, axis=1) != data["test_targets"])

    print(json.dumps({"error": float(train())}))


if __name__ == "__main__":
    main()
