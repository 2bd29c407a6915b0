"""The nearest-neighbour error model of Bisla et al. (2021)."""
