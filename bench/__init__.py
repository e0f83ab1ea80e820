"""Benchmarks: ``python -m bench.memory`` measures this package, beside the older one where it is installed."""
