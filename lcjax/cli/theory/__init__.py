"""Commands of the nearest-neighbor error model."""
