"""Archives in analysis tools: loops over files, coffea, dask-awkward, h5py, torch."""
