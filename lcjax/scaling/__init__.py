"""Losses as functions of parameters, data and compute."""
