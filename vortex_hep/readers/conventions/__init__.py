"""Naming rules of experiments: NanoAOD, ALICE, trees of one folder that belong together."""
