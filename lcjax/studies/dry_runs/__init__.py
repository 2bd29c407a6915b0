"""Dry runs: what a study would train, and how much time, memory and disk space it would take."""
