"""Dry runs: what a study would train, and how long, how much memory and how much disk space it would take."""
