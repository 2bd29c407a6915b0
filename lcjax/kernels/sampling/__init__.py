"""Sampling of posteriors."""
