"""Conformance suites to import, example files, comparison with other codecs."""
