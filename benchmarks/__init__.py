"""Benchmarks of lcjax and comparable libraries, with one harness."""
