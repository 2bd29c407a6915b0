"""Learning curves as data."""
