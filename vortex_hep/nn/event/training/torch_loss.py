"""The loss of the event model in torch operations, where the fused kernel cannot run.

Forward it computes the integers that inference computes; backward it passes gradients straight
through the rounding, by the same rules as :mod:`vortex_hep.nn.event.training.train_kernel`. Tokens
at the same place in their fields are computed together, so a step is a few dozen large operations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vortex_hep.nn.arithmetic import ACTIVATION_MAX, SHARED, TRUNK_SHIFT
from vortex_hep.nn.event.model import MATCHES
from vortex_hep.nn.event.network import UNKNOWN
from vortex_hep.nn.event.training.train_kernel import Rows

Array = npt.NDArray[Any]
Tensor = torch.Tensor


class TensorRows:
    """Training rows on a device.

    Parameters
    ----------
    rows : Rows
    device : str
        As torch names it.
    """

    def __init__(self, rows: Rows, device: str) -> None:
        def put(values: Array, kind: torch.dtype = torch.int64) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(device, kind)

        self.tokens = put(rows.tokens, torch.uint8)
        self.buckets = put(rows.buckets, torch.uint8)
        self.previous = put(rows.previous)
        self.link = put(rows.link)
        self.position = put(rows.position)
        self.lane = put(rows.lane)
        self.lane_buckets = put(rows.lane_buckets, torch.uint8)
        self.has_match = put(rows.has_match, torch.bool)
        self.link_fields: list[int] = rows.link_fields.tolist()


class _SymbolBits(torch.autograd.Function):
    """Bits of each symbol under integer softmax; the gradient is that of the exact one."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, symbol: Tensor) -> Tensor:
        whole = logits.to(torch.int32)
        distance = whole.amax(-1, keepdim=True) - whole
        r = distance & 1023
        weight = 32768 - (((22007 - ((5623 * r) >> 10)) * r) >> 10)
        weight = weight >> (distance >> 10).clamp(max=31)
        share = weight.double() / weight.sum(-1, keepdim=True)
        ctx.save_for_backward(share, symbol)
        chosen = share.gather(-1, symbol[..., None])[..., 0]
        return -torch.log2(chosen * (SHARED / 65536) + 1 / 65536)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        share, symbol = ctx.saved_tensors
        one = torch.ones_like(symbol[..., None], dtype=share.dtype)
        slope = share.scatter_add(-1, symbol[..., None], -one) / 1024
        return (slope * grads[0][..., None]).float(), None


def _clip(x: Tensor) -> Tensor:
    # hardtanh, unlike clamp, has no gradient at the ends themselves, as the fused kernel.
    return torch.nn.functional.hardtanh(x, 0.0, float(ACTIVATION_MAX))


def straight_round(x: Tensor) -> Tensor:
    """Round half to even; the gradient passes through."""
    return x + (torch.round(x) - x).detach()


def _descale(x: Tensor) -> Tensor:
    """Divide by ``2**TRUNK_SHIFT``, rounding half up; the gradient is that of the division."""
    x = x / (1 << TRUNK_SHIFT)
    return x + (torch.floor(x + 0.5) - x).detach()


def _context(tokens: Tensor, mine: Tensor, other: Tensor, depth: int, first: Tensor) -> Tensor:
    """Match-table rows, shape (fields, rows), of the tokens at ``depth`` in their fields."""
    there = other >= 0
    seen = tokens[other.clamp(min=0)].long()
    equal = there[:, None].expand(len(mine), len(first))
    for d in range(depth):
        equal = equal & (seen[:, first + d] == mine[:, first + d])
    seen = seen[:, first + depth]
    known = there[:, None] & (seen != UNKNOWN)
    return torch.where(known, seen + 16 * equal, MATCHES - 1).T.contiguous()


def batch_bits(
    weights: dict[str, Tensor], rows: TensorRows, batch: Tensor, field_start: Array,
    flat_bits: Array,
) -> Tensor:  # fmt: skip
    """Return the bits per token of ``batch`` (float64, shape (tokens,)), ready for autograd.

    Parameters
    ----------
    weights : dict of str to float32 tensor
        Integer-valued weights.
    rows : TensorRows
    batch : int64 tensor
        Row numbers.
    field_start, flat_bits : int64 arrays
        As :class:`vortex_hep.nn.event.model.EventModel` has them.
    """
    w = weights
    n, device = len(batch), batch.device
    fields = len(field_start) - 1
    places = torch.arange(fields, device=device)
    mine = rows.tokens[batch].long()
    previous, links = rows.previous[batch], rows.link[:, batch]

    def embedded(table: Tensor, buckets: Tensor) -> Tensor:
        k = torch.arange(buckets.shape[1], device=device)
        return table[k, buckets.long()]  # (rows, fields, hidden)

    state = w["position"][rows.position[batch]]
    if len(w["previous"]):
        seen = rows.buckets[previous.clamp(min=0), :fields]
        seen = embedded(w["previous"], seen).sum(1)
        state = state + torch.where((previous >= 0)[:, None], seen, 0.0)
    state = state + embedded(w["lane"], rows.lane_buckets[rows.lane[batch]]).sum(1)
    own = embedded(w["embed"], rows.buckets[batch, :fields])
    # what the fields before each one add
    steps = torch.cat([torch.zeros_like(own[:, :1]), own[:, :-1].cumsum(1)], 1)
    at = 0
    for k, link in enumerate(links):
        table = w["link"][at : at + rows.link_fields[k]]
        at += len(table)
        seen = embedded(table, rows.buckets[link.clamp(min=0), : len(table)]).sum(1)
        seen = torch.where((link >= 0)[:, None], seen, 0.0)
        steps = steps + seen[:, None] * (places > k)[:, None]
    x = _clip((state[:, None] + steps + w["gate"]).transpose(0, 1))  # (fields, rows, hidden)
    hidden = _descale(torch.bmm(x, w["trunk"]))  # (fields, rows, head)

    bits = torch.from_numpy(np.asarray(flat_bits, np.float64) * n).to(device)
    start = torch.from_numpy(np.asarray(field_start[:-1], np.int64)).to(device)
    length = np.diff(field_start)
    alive = np.arange(fields)
    depth = 0
    while True:
        coded = length[alive] > depth
        coded[coded] = flat_bits[field_start[alive[coded]] + depth] == 0
        if not coded.any():
            return bits
        keep = torch.from_numpy(np.flatnonzero(coded)).to(device)
        alive = alive[coded]
        hidden = hidden[keep]
        first = start[torch.from_numpy(alive).to(device)]
        t = first + depth
        if depth:
            symbol = mine[:, t - 1].T
            hidden = hidden + w["nibble"][(t - 1)[:, None], symbol]
        z = hidden + w["bias"][t][:, None]
        if len(w["match_previous"]):
            match = _context(rows.tokens, mine, previous, depth, first)
            z = z + w["match_previous"][t[:, None], match]
        for k, link in enumerate(links):
            match = _context(rows.tokens, mine, link, depth, first)
            # the field that says which row is linked cannot use it, nor those before
            match[: int((alive <= k).sum())] = MATCHES - 1
            seen = w["match_link"][(k * len(flat_bits) + t)[:, None], match]
            z = z + seen * rows.has_match[k, t][:, None, None]
        logits = torch.bmm(_clip(z), w["head"][t]) + w["head_bias"][t][:, None]
        cost: Tensor = _SymbolBits.apply(logits, mine[:, t].T)  # type: ignore[no-untyped-call]
        bits = bits.index_add(0, t, cost.sum(1))
        depth += 1
