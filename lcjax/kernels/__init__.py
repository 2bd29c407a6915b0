"""Kernels: arrays to arrays, jitted, vmap-able, differentiable."""
