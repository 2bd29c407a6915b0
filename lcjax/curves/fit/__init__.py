"""Least-squares fits of functional forms."""
