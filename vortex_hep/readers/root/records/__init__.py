"""Streamed records of C++ objects, entry by entry."""
