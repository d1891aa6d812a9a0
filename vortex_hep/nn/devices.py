"""Devices that networks run on, by the names of users and of torch."""

from __future__ import annotations

import importlib.util

from vortex_hep.errors import UnsupportedFeatureError


def cuda_available() -> bool:
    """Whether torch is installed and sees a CUDA device."""
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def torch_device(device: str) -> str:
    """Return torch's name of a device.

    Parameters
    ----------
    device : str
        One of :data:`vortex_hep.core.options.DEVICES`; "auto" is a GPU if torch sees one.

    Raises
    ------
    UnsupportedFeatureError
        A GPU is asked for, and torch sees none.
    """
    if device == "cuda" and not cuda_available():
        raise UnsupportedFeatureError("torch sees no CUDA device", hint="use device 'cpu'")
    return "cuda" if device in ("auto", "cuda") and cuda_available() else "cpu"
