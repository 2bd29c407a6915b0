"""Floors of an error: label noise, and the part that a model keeps."""
