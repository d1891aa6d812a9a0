"""HepMC files as they are packed: gzip, Zstandard, tar."""
