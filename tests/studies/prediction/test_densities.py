"""Densities of features: against NumPy, and refused if singular."""

import dataclasses

import jax
import numpy as np
import pytest

from lcjax.studies.prediction.densities import fit_densities
from lcjax.training import features

HALF = (3, 9)  # runs of the two seeds on half of the data


def test_densities_are_moments_on_principal_components(study, small):
    train, test = fit_densities(study.trained, HALF, small, small.test.inputs, 2)
    assert train.mean.shape == test.mean.shape == (2, 2)
    for seed, row in enumerate(HALF):
        own = features(study.trained, row, small, shard=True)
        assert own.shape == (120, 16)
        values, vectors = np.linalg.eigh(np.cov(own.T, bias=True))
        np.testing.assert_allclose(np.diag(train.covariance[seed]), values[:-3:-1], rtol=2e-3)
        other = (features(study.trained, row, small, small.test.inputs) - own.mean(axis=0)) @ vectors[:, :-3:-1]
        np.testing.assert_allclose(
            np.linalg.det(test.covariance[seed]), np.linalg.det(np.cov(other.T, bias=True)), 1e-2
        )
        np.testing.assert_allclose(np.abs(test.mean[seed]), np.abs(other.mean(axis=0)), rtol=2e-2, atol=1e-3)


def test_the_study_uses_validation_features_of_the_networks_on_half_of_the_data(study, small):
    d = int(study.prediction.dimension)
    train, test = fit_densities(study.trained, HALF, small, small.validation.inputs, d)
    np.testing.assert_array_equal(study.prediction.train_density.covariance, train.covariance)
    np.testing.assert_array_equal(study.prediction.test_density.covariance, test.covariance)


def test_singular_and_infinite_features_are_refused(study, small):
    constant = np.zeros_like(small.test.inputs)
    with pytest.raises(ValueError, match="held-out features on 2 principal components is singular"):
        fit_densities(study.trained, HALF[:1], small, constant, 2)
    broken = list(study.trained.params)
    broken[9] = jax.tree.map(lambda leaf: leaf * np.float32(np.inf), broken[9])
    with pytest.raises(ValueError, match="network of seed 1 contain nan or inf"):
        fit_densities(dataclasses.replace(study.trained, params=tuple(broken)), HALF, small, small.test.inputs, 2)


def test_a_measured_dimension_is_lowered_to_the_directions_that_features_span(study, small, monkeypatch):
    def on_a_line(*arguments, **options):
        return features(*arguments, **options) * np.eye(16, dtype=np.float32)[0]

    monkeypatch.setattr("lcjax.studies.prediction.densities.features", on_a_line)
    train, test = fit_densities(study.trained, HALF, small, small.test.inputs, 3, is_given=False)
    assert train.mean.shape == test.mean.shape == (2, 1)
    with pytest.raises(ValueError, match="Choose a smaller dimension"):
        fit_densities(study.trained, HALF, small, small.test.inputs, 3)
