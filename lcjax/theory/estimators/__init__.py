"""Estimators that compute concrete arrays by NumPy, because compiling them takes longer than running them."""
