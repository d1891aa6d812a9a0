"""Measurements of transformers: against the event model, ablations, speed on other devices."""
