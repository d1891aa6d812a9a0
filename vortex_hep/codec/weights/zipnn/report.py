"""Sizes of the parts of weights: signs, exponents, mantissas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from vortex_hep.codec.columns.classical import Effort
from vortex_hep.codec.weights.zipnn.planes import encode_plane, split
from vortex_hep.codec.weights.zipnn.weights import CompressedWeights, compress_model_weights


@dataclass
class PlaneSize:
    """Bytes of a part of the weights; of single bits an eighth each.

    Examples
    --------
    >>> PlaneSize(200.0, 150).saved
    0.25
    """

    raw_bytes: float = 0
    stored_bytes: float = 0

    @property
    def saved(self) -> float:
        """Fraction of the bytes that is saved; 0 where there are none."""
        return 1 - self.stored_bytes / self.raw_bytes if self.raw_bytes else 0.0

    def add(self, raw: float, stored: float) -> None:
        """Count some more."""
        self.raw_bytes += raw
        self.stored_bytes += stored

    def to_dict(self) -> dict[str, float]:
        """Return it as JSON."""
        return {
            "raw_bytes": self.raw_bytes,
            "stored_bytes": self.stored_bytes,
            "saved": self.saved,
        }


@dataclass
class WeightReport:
    """Sizes of weights, tied tensors counted once.

    Parameters
    ----------
    tensors, tied : int
        Names, and how many of them are tensors that another name has too.
    total : PlaneSize
    dtypes : dict of str to PlaneSize
        By data type, as stored.
    planes : dict of str to dict of str to PlaneSize
        By data type and plane, every plane coded on its own. Where whole values are coded
        better than planes, their sum is more than is stored.
    """

    tensors: int
    tied: int
    total: PlaneSize = field(default_factory=PlaneSize)
    dtypes: dict[str, PlaneSize] = field(default_factory=dict)
    planes: dict[str, dict[str, PlaneSize]] = field(default_factory=dict)

    @property
    def saved(self) -> float:
        """Fraction of all bytes that is saved."""
        return self.total.saved

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "tensors": self.tensors,
            "tied": self.tied,
            "total": self.total.to_dict(),
            "dtypes": {name: size.to_dict() for name, size in self.dtypes.items()},
            "planes": {
                name: {plane: size.to_dict() for plane, size in planes.items()}
                for name, planes in self.planes.items()
            },
        }


def weight_size_report(
    model: Any, *, effort: Effort = "normal", planes: bool = True
) -> WeightReport:
    """Measure what a model's weights cost, by data type and by plane.

    Parameters
    ----------
    model : CompressedWeights, module, or mapping of str to tensors or arrays
        What is not compressed yet is compressed for the report.
    effort : {"fast", "normal", "max"}
        As for :func:`compress_model_weights`; for planes too.
    planes : bool
        Whether to decode the weights and code every plane on its own.

    Returns
    -------
    WeightReport

    Examples
    --------
    >>> import numpy as np
    >>> weights = np.random.default_rng(0).normal(size=10_000).astype("f4")
    >>> report = weight_size_report({"w": weights})
    >>> {name: f"{size.saved:.1f}" for name, size in list(report.planes["float32"].items())[1:3]}
    {'exponent': '0.7', 'mantissa 0': '0.0'}
    """
    packed = (
        model
        if isinstance(model, CompressedWeights)
        else compress_model_weights(model, effort=effort)
    )
    distinct = packed.distinct
    report = WeightReport(len(packed), len(packed) - len(distinct))
    for tensor in distinct:
        report.total.add(tensor.raw_bytes, tensor.stored_bytes)
        size = report.dtypes.setdefault(tensor.dtype, PlaneSize())
        size.add(tensor.raw_bytes, tensor.stored_bytes)
        if planes and tensor.format.exponent:
            found = report.planes.setdefault(tensor.dtype, {})
            for name, raw, stored in _planes(split(tensor.carriers(), tensor.format), effort):
                found.setdefault(name, PlaneSize()).add(raw, stored)
    return report


def _planes(planes: Iterable[tuple[str, int, Any]], effort: Effort) -> Iterable[Any]:
    for name, bits, values in planes:
        yield name, values.size * bits / 8, len(encode_plane(values, bits, effort)[1])
