"""Folders of finished and unfinished runs."""
