"""Bits of records under a transformer, in floating point and in integers, on the same lanes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy.typing as npt
import torch

from vortex_hep.nn.loop.loop import mean_bits
from vortex_hep.nn.sequence.coder import SequenceCoder, cut_of, token_bits
from vortex_hep.nn.sequence.compiled import Compiled
from vortex_hep.nn.sequence.model import SequenceModel
from vortex_hep.nn.transformer import CATWrapper

Array = npt.NDArray[Any]

#: Tokens that are run at once.
_TOGETHER = 1 << 14


def float_bits(
    wrapper: CATWrapper, records: Array, lane: int, *, chunk: int | None = None, device: str = "cpu"
) -> float:
    """Bits per byte in floating point.

    Parameters
    ----------
    wrapper : CATWrapper
        In evaluation mode.
    records : uint8 array, shape (rows, width)
    lane : int
        Tokens of a lane, whole records; what is left at the end is a shorter lane.
    chunk : int, optional
        By default the largest that the network was trained with.
    device : str
        Where the network is.
    """
    tokens = torch.from_numpy(records.reshape(-1).copy())
    whole = len(tokens) // lane * lane
    lanes = tokens[:whole].view(-1, lane)
    batches = list(torch.split(lanes, max(1, _TOGETHER // lane)))
    if whole < len(tokens):
        batches.append(tokens[whole:].view(1, -1))
    return mean_bits(lambda batch: wrapper.bits_per_byte(batch, chunk_size=chunk), batches, device)


def exact_bits(model: SequenceModel, records: Array, threads: int) -> float:
    """Bits per byte in integers: what an archive pays, but for the ends of streams.

    Parameters
    ----------
    model : SequenceModel
    records : uint8 array, shape (rows, width)
        As wide as the model has types.
    threads : int
    """
    cut = cut_of(model, len(records))
    with ThreadPoolExecutor(threads) as pool:
        coder = SequenceCoder(
            model, Compiled(model, pool, threads), cut, together=1 << cut.log2, pool=pool,
            parts=threads,
        )  # fmt: skip
        parts = (token_bits(freq, model.layout.width) for _, freq, _ in coder.frequencies(records))
        return sum(float(part.sum()) for part in parts) / records.size
