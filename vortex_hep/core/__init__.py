"""Shared by every layer: tables of columns, options, progress, threads, files wherever they are."""
