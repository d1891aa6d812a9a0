"""Fixtures of the network tests."""

import importlib.util

import pytest


@pytest.fixture(autouse=True, scope="package")
def _one_torch_thread():
    """Many threads waiting for one another make tiny tensor operations very slow."""
    if importlib.util.find_spec("torch") is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
