"""Runnable pipelines around the package; they import ``vortex_hep``, never the reverse."""
