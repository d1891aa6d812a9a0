"""Archives where ROOT files are used: loops over files, coffea, dask-awkward."""
