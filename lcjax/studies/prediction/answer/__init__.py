"""The answer of a prediction: an average over methods, its draws, and its shift to test data."""
