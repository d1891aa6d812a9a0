"""The ROOT file format below trees: keys, compressed blocks, reading and writing bytes."""
