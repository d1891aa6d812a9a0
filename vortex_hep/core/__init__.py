"""Common ground of all layers: tables of columns, options, progress, threads, storage."""
