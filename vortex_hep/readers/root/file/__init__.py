"""ROOT files below their trees: keys, compressed blocks, bytes read and written."""
