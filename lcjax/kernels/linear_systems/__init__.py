"""Symmetric positive definite linear systems too large for memory."""
