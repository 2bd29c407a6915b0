"""Trainers of collections: functions, commands, scikit-learn estimators, and networks in JAX."""
