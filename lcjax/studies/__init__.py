"""The jobs, end to end."""
