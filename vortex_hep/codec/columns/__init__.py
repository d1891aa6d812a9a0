"""Columns to bytes and back by classical coders, and the choice among these."""
