"""HDF5 datasets as trees of tables."""
