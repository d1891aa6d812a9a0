"""Transformers in integers: inference that gives the same result on every machine.

:mod:`model` holds the integers, :mod:`arithmetic` defines what is done with them, and the engines
(:mod:`reference`, :mod:`compiled`, :mod:`torch_operations`) compute it, each in its own way and all
with the same result. Nothing here needs torch but :mod:`fit`, :mod:`quantise` and
:mod:`torch_operations`.
"""
