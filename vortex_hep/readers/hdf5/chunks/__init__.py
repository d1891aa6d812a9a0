"""Chunks of HDF5 datasets: element types, layouts, filters."""
