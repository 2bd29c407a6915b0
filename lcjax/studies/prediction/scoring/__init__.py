"""Scores of predictions: discrepancy and weights from back-tests, and errors at held-out sizes."""
