"""Sequence models: the compressive transformer in integers, which codes and decodes everywhere.

:mod:`model` holds the integers, :mod:`arithmetic` defines what is done with them, and the engines
(:mod:`reference`, :mod:`compiled`, :mod:`torch_engine`) do it, each in its own way and all with the
same result. Nothing here needs torch but :mod:`quantise` and :mod:`torch_engine`.
"""
