"""Processes of one job: their shared secret, their connections, and the messages between them."""
