"""The answer of a prediction: an average of methods, its draws, and its shift to test data."""
