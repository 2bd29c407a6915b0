"""Sequence tasks: language, translation and speech."""
