"""Execution of a table of runs."""
