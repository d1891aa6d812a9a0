"""Conformance of coders, engines, readers and archives.

Functions ``check_...`` raise :class:`~vortex_hep.testing.conformance.reporting.ConformanceError`;
classes ``...Tests`` are for test classes to inherit from, and need no pytest to be imported.
:mod:`vortex_hep.testing.conformance.strategies` alone needs Hypothesis.

The main names are also those of :mod:`vortex_hep.testing`.
"""
