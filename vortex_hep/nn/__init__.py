"""Predictors: networks that turn what is known of an event into integer frequencies.

Inference is integer arithmetic, defined by :mod:`vortex_hep.nn.event.reference`. Only the trainer
and the torch engine import torch.
"""
