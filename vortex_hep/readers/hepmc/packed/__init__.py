"""Packed HepMC files: gzip, Zstandard, tar."""
