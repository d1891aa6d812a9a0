"""Conformance suites to import, example files of our own making, comparison with other codecs."""
