"""Readers of measured curves."""
