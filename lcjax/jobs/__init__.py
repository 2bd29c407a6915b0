"""Processes of one job: their secret, their meeting, and the messages between them."""
