"""Measurements of learning curves by any trainer: a function, an estimator of scikit-learn, a command."""
