"""Faults on purpose: damaged files and stores, killed processes, rogue peers."""
