"""Transformers measured: against the event model, variant by variant, and on other devices."""
