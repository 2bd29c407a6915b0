"""Simulation checks of the size at which one training meets a target and of the number of test examples."""
