"""Commands of the nearest-neighbour error model."""
