"""Fault injection: damaged files and stores, killed processes, rogue peers."""
