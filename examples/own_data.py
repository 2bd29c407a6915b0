"""Predict the learning curve of a model on your own arrays, and the number of examples that reach a target error."""

import jax
import numpy as np

import lcjax as lc
from lcjax.studies.prediction.caveats import caveats
from lcjax.studies.recipes import mlp_recipe

rng = np.random.default_rng(0)
inputs = rng.normal(size=(3000, 10))
labels = np.where(np.sin(2 * inputs[:, 0]) + inputs[:, 1] > 0, 1, 0)
data = lc.data_from_arrays(inputs, labels, name="two waves")  # split, and normalized by the training part

recipe = mlp_recipe(data).with_budget(steps=1000)
prediction = lc.predict_learning_curve(jax.random.key(0), data, recipe, seeds=2, dimension=2, target_error=0.05)
answer = prediction.answer.size_for_error
print(f"{answer.value:,.0f} examples (90 % interval {answer.low:,.0f} to {answer.high:,.0f})")
print(prediction.answer.reason)
for sentence in caveats(prediction, chance_error=data.chance_error(), target_error=0.05):
    print(sentence)
print("measured test error:", np.round(prediction.measured.error, 4))
