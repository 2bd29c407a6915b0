"""Readers of data sets, one file format each."""
