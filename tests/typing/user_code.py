"""A user's program that calls every flat name; it is type-checked strictly, never run.

`tests/test_typing.py` reveals the type of every variable below and refuses `Any`. Names that end in an underscore hold
parameters of networks or JSON, which have no static type.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lcjax as lc
from lcjax.typing import Progress


def show(progress: Progress) -> None:
    print(f"{progress.stage}: {progress.done / progress.total:.0%}")


@lc.record
class Pair:
    """A record defined by the user."""

    first: jax.Array
    second: jax.Array


key = jax.random.key(0)
size = jnp.array([10.0, 100.0, 1000.0])
points = jax.random.normal(key, (100, 3))
labels = jnp.zeros(100, jnp.int32)

# Data and training.
data = lc.load_data("digits")
own_data = lc.data_from_arrays(np.asarray(points), np.asarray(labels))
examples = lc.Examples(np.asarray(points), np.asarray(labels))
three_splits = lc.Data(examples, examples, None, classes=2)
budget = lc.Budget(steps=100)
network = lc.models.MLP((32,), 10)
program = lc.Program(
    network, lc.cross_entropy, optax.adam, lc.training.cosine, 32, budget, lc.training.with_replacement
)
recipe = lc.Recipe(program, learning_rate=0.01, fine_tune=budget, fine_tune_rate=0.001, margin=0.01)
runs = lc.Runs.grid(program, size=[100, 500], seed=[0, 1], learning_rate=[0.01])
result = lc.sweep(key, data, runs, keep=np.ones(4, bool), on_progress=show)
validation_error = runs.unstack(result.validation_error)
wrong = lc.evaluate(result, data, data.train)
shard_features = lc.features(result, 0, data, shard=True)
outputs_and_preactivations_ = lc.apply_with_preactivations(network, {}, points)
penalty = lc.vc_penalty(points)
loss = lc.cross_entropy(points, labels)

# Curves.
curve = lc.LearningCurve(np.array([10, 100, 1000]), np.array([0.5, 0.2, 0.1]))
fit = lc.fit_curve(curve, lc.forms.power_law_offset, key=key, draws=100)
fit_error = fit.predict(size)
fit_size = fit.size_for_error(0.05)
regions = lc.find_regions(fit)
prediction_of_curve = lc.forecast(key, curve)
forecast_error = prediction_of_curve.predict(size)
forecast_interval = prediction_of_curve.interval(size)
forecast_size = prediction_of_curve.size_for_error(0.05)
forecast_size_value = forecast_size.value
table = lc.read_curves("curves.csv")
ranking = lc.rank_by_exponent({"words": fit})
scaling = lc.fit_scaling_law(key, {"params": jnp.ones(6), "tokens": jnp.ones(6), "loss": jnp.ones(6)}, draws=10)
envelope = lc.lower_envelope(size, jnp.ones((2, 3, 3)), jnp.ones((2, 3, 3)))

# Theory.
density = lc.fit_gaussian(points)
other_density = lc.Gaussian(jnp.zeros(3), jnp.eye(3))
error = lc.expected_error(size, density, density, radius=1.0, law=lc.laws.poisson)
radius_fit = lc.fit_radius(curve, density, density)
distance_error = lc.error_from_distances(jnp.ones((5, 3)), size, 1.0)
simulated = lc.simulate_error(key, jnp.array([10, 20]), density, density, 1.0)
dimension = lc.effective_dimension(np.array([1, 2]), np.array([0.5, 0.9]), np.array([0.01, 0.01]), 0.9)

# Studies.
prediction = lc.predict_learning_curve(key, data, recipe, target_error=0.01)
method = prediction.methods["power_law"]
answer = prediction.answer.size_for_error
score = prediction.held_out["answer"].log_score
measured = lc.measure_learning_curve(key, data, [program], grid={"learning_rate": [0.01]})
warnings = lc.caveats(prediction, chance_error=0.9)
simulation = lc.simulate_learning_curve(key)
task = lc.studies.RankedTask("digits", "images", data, (program,), (0.01,), (100, 500))
hierarchy = lc.rank(key, [task])
cases = lc.studies.condition_cases([(lc.studies.NETS["mlp-1x512"], 500)])
null = lc.randomization_tests(key, data, cases, lc.studies.RandomizationRecipe(steps=100))
compressed = lc.compress(key, data, network)

# Kernels, compression and complexity.
neighbors = lc.nearest_neighbors(points, points, k=2)
distance = neighbors.distance
sobol_points = lc.sobol(key, 64, 2)
mean = lc.expectation(key, jnp.sum, d=2)
pruned_ = lc.prune({"kernel": points}, sparsity=0.5)
prune_curve = lc.prune_curve({"kernel": points}, lambda params: jnp.mean(params["kernel"]))
quantized_ = lc.quantize({"kernel": points}, 8, 6)
quantize_curve = lc.quantize_curve({"kernel": points}, lambda params: jnp.mean(params["kernel"]))
memorizing = lc.memorizing_network(key, points, labels)
interpolant = lc.kernel_interpolation(points, points[:, 0], lc.complexity.gaussian_kernel(1.0))
solution = lc.minimum_norm(points, points[:, 0])
prediction_of_solution = solution.predict(points)

kernels = {"kernel": points}
report = lc.complexity_report(
    key, lambda params, inputs: inputs @ params["kernel"], kernels, kernels, points, labels, labels, layers=1
)
one = jnp.ones((1, 2))
minimum = lc.least_squares(lambda parameters, data: parameters[0] - data, one, one[0], 0 * one, one, steps=10)

# Records.
pair = Pair(points, points)
json_ = lc.to_dict(pair)
restored = lc.from_dict(Pair, json_)


# Models of one's own.
def init_line(key: jax.Array, inputs: jax.Array) -> dict[str, jax.Array]:
    return {"slope": jax.random.normal(key, inputs.shape[1:])}


def apply_line(params: dict[str, jax.Array], inputs: jax.Array) -> jax.Array:
    return inputs @ params["slope"]


line = lc.models.from_functions(init_line, apply_line)
