"""Forecast the fine-tuning curve of a pre-trained network, and that of the same network trained from scratch.

A perceptron is pre-trained on clean images of digits and fine-tuned on noisy ones. The errors with up to 128 examples
are fitted, and the forecasts for 256 to 1,024 examples are compared with the measured errors.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import lcjax as lc
from lcjax.curves import FAMILIES, fine_tuning

SEEDS, PRETRAINING, HELD_OUT, RATE = 6, 400, 373, 3e-3
SIZES = 2 ** np.arange(3, 11)

images, labels = load_digits(return_X_y=True)
images, labels = jnp.asarray(images / 16, jnp.float32), jnp.asarray(labels)
noisy = images + 0.3 * jax.random.normal(jax.random.key(1), images.shape)
order = np.random.default_rng(0).permutation(len(images))
clean_rows, held_out, pool = np.split(order, [PRETRAINING, PRETRAINING + HELD_OUT])
model = lc.models.MLP((64,), 10)
optimizer = optax.adam(RATE)


def train(key, variables, inputs, targets, size, *, steps):
    """Train on the first `size` rows, in batches drawn with replacement."""

    def loss(variables, rows):
        scores = model.apply(variables, inputs[rows])
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(scores, targets[rows]))

    def step(state, key):
        variables, moments = state
        gradient = jax.grad(loss)(variables, jax.random.randint(key, (32,), 0, size))
        change, moments = optimizer.update(gradient, moments)
        return (optax.apply_updates(variables, change), moments), None

    keys = jax.random.split(key, steps)
    return jax.lax.scan(step, (variables, optimizer.init(variables)), keys)[0][0]


def error(variables):
    return jnp.mean(jnp.argmax(model.apply(variables, noisy[held_out]), axis=-1) != labels[held_out])


@jax.jit
def measure(key, rows):
    """Return the errors of both networks at every size, and that of the pre-trained one before fine-tuning."""
    initial = model.init(key, images[:1])
    pretrained = train(key, initial, images[clean_rows], labels[clean_rows], PRETRAINING, steps=600)
    sizes = jnp.asarray(SIZES)

    def curve(start):
        return jax.vmap(lambda size: error(train(key, start, noisy[rows], labels[rows], size, steps=200)))(sizes)

    return jnp.stack([curve(pretrained), curve(initial)]), error(pretrained)


keys = jax.random.split(jax.random.key(0), SEEDS)
runs = [measure(key, np.random.default_rng(seed).permutation(pool)) for seed, key in enumerate(keys)]
errors = np.stack([np.asarray(run[0]) for run in runs], axis=1)  # network, seed, size
print(f"without fine-tuning: error {np.mean([run[1] for run in runs]):.3f}")

fitted = SIZES <= 128
curves = lc.curves.curve_from_replicates(SIZES[fitted].astype(np.float32), errors[:, :, fitted])
later, truth = SIZES[~fitted], errors.mean(axis=1)[:, ~fitted]
# A prior weight of 0 gives the forecast by the default families from the same compiled program.
for name, weight in (("with the fine-tuning family", 1.0), ("without", -np.inf)):
    ahead = lc.forecast(jax.random.key(0), curves, families=(*FAMILIES, fine_tuning(weight)))
    predicted = np.asarray(ahead.predict(later))
    low, high = (np.asarray(limit) for limit in ahead.interval(later))
    for i, network in enumerate(("pre-trained", "from scratch")):
        print(f"{network}, {name}, its weight {np.asarray(ahead.weight)[i, -1]:.2f}:")
        for j, size in enumerate(later):
            interval = f"90 % interval {low[i, j]:.3f} to {high[i, j]:.3f}"
            print(f"  {size:5,} examples: {predicted[i, j]:.3f} forecast, {interval}, {truth[i, j]:.3f} measured")
print("measured, pre-trained:", *(f"{value:.3f}" for value in errors[0].mean(axis=0)))
print("measured, from scratch:", *(f"{value:.3f}" for value in errors[1].mean(axis=0)))
