"""Networks in integer arithmetic: frequencies of symbols from what is already decoded.

Inference is integer arithmetic, defined by :mod:`vortex_hep.nn.event.reference`. Only the trainer
and the torch engine import torch.
"""
