"""Trainers of collections: functions, commands, estimators of scikit-learn, and networks in JAX."""
