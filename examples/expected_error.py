"""Expected error of the nearest-neighbor model at several sizes by two laws, and its derivative."""

import jax
import jax.numpy as jnp

import lcjax as lc

# Table 3 of Bisla et al. (2021), MNIST with LeNet: Gaussians of the two-dimensional training and test features.
train_density = lc.Gaussian(jnp.array([0.020, 0.012]), jnp.diag(jnp.array([377.855, 264.029])))
test_density = lc.Gaussian(jnp.array([-0.061, -0.036]), jnp.diag(jnp.array([384.357, 270.399])))
sizes = 60_000 * jnp.array([0.03125, 0.0625, 0.125, 0.25, 0.5, 0.75, 1.0])

paper = lc.expected_error(sizes, train_density, test_density, 17.375)
local = lc.expected_error(sizes, train_density, test_density, 17.375, lc.laws.poisson)
slope = jax.vmap(
    jax.grad(lambda size: lc.expected_error(size[None], train_density, test_density, 17.375, lc.laws.poisson)[0])
)(sizes)
for size, by_paper, by_local, change in zip(sizes, paper, local, slope, strict=True):
    print(
        f"{size:8,.0f} examples: paper's law {by_paper:.4f}, local law {by_local:.4f}, {1000 * change:+.6f} per 1,000"
    )
