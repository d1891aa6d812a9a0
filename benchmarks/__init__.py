"""Benchmarks: the corpus, the runner, and the report made from its results."""
