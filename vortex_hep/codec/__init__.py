"""Coders, transforms and the container: everything that turns arrays into bytes and back.

Nothing in this package imports torch.
"""
