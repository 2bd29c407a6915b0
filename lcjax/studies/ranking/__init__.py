"""Tasks ranked by the exponents of their learning curves (Hestness et al., 2019)."""
