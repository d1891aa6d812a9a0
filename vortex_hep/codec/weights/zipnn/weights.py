"""Compressing the tensors of a model, and restoring them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from vortex_hep.codec.columns.classical import Effort
from vortex_hep.codec.container.container import xxh3
from vortex_hep.codec.weights.zipnn import tensors as tn
from vortex_hep.codec.weights.zipnn.formats import WeightFormat
from vortex_hep.codec.weights.zipnn.planes import decode_items, encode_items
from vortex_hep.core.schema import Array
from vortex_hep.errors import (
    CorruptionError,
    ModelMismatchError,
    UnsupportedTypeError,
    VortexError,
)

#: Bytes that one chunk holds at most: larger tensors are cut, to be coded in parallel.
PART_BYTES = 1 << 26

Json: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class TensorPart:
    """A run of items of a tensor: payload, and size and XXH3-64 of what it decodes to."""

    payload: bytes
    size: int
    xxh3: int


@dataclass(frozen=True, eq=False)
class CompressedTensor:
    """One tensor; names that are tied have the same object.

    Parameters
    ----------
    format : WeightFormat
    shape : tuple of int
    parts : tuple of TensorPart
        Empty for tensors without items.
    """

    format: WeightFormat
    shape: tuple[int, ...]
    parts: tuple[TensorPart, ...]

    @property
    def dtype(self) -> str:
        """Name of the data type, as torch has it without ``torch.``."""
        return self.format.name

    @property
    def raw_bytes(self) -> int:
        """Bytes of the tensor in memory."""
        return math.prod(self.shape) * self.format.itemsize

    @property
    def stored_bytes(self) -> int:
        """Bytes of its payloads."""
        return sum(len(part.payload) for part in self.parts)

    def same_bits(self, other: CompressedTensor) -> bool:
        """Whether both decode to the same, as their checksums tell."""
        return self is other or (self.dtype, self.shape, [p.xxh3 for p in self.parts]) == (
            other.dtype, other.shape, [p.xxh3 for p in other.parts],
        )  # fmt: skip

    def carriers(self) -> Array:
        """Decode to a flat array of :attr:`WeightFormat.carrier` items.

        Raises
        ------
        CorruptionError
            The payloads are damaged.
        """
        out: Array = np.empty(self.raw_bytes // self.format.width, self.format.carrier)
        at = 0
        for part in self.parts:
            count = part.size // self.format.width
            found = decode_items(part.payload, self.format, count)
            if xxh3(found.view("u1").data) != part.xxh3:
                msg = "it decodes to other data than was encoded"
                raise CorruptionError(msg)
            out[at : at + count] = found
            at += count
        return out


class CompressedWeights(Mapping[str, CompressedTensor]):
    """Compressed tensors by name, in the order in which they were given.

    Parameters
    ----------
    tensors : mapping of str to CompressedTensor
    metadata : mapping, optional
        JSON object that was saved with them.
    """

    def __init__(
        self, tensors: Mapping[str, CompressedTensor], metadata: Json | None = None
    ) -> None:
        self._tensors = dict(tensors)
        self.metadata: dict[str, Any] = dict(metadata or {})

    def __getitem__(self, name: str) -> CompressedTensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return (
            f"<CompressedWeights: {len(self)} tensors,"
            f" {self.raw_bytes} bytes in {self.stored_bytes}>"
        )

    @property
    def distinct(self) -> list[CompressedTensor]:
        """Every tensor once, tied ones included."""
        return list({id(tensor): tensor for tensor in self._tensors.values()}.values())

    @property
    def raw_bytes(self) -> int:
        """Bytes of all tensors in memory, tied ones once."""
        return sum(tensor.raw_bytes for tensor in self.distinct)

    @property
    def stored_bytes(self) -> int:
        """Bytes of all payloads; a file has some 90 more per tensor, and its metadata."""
        return sum(tensor.stored_bytes for tensor in self.distinct)


def _cut(carriers: Array, wf: WeightFormat, shape: Sequence[int]) -> list[Array]:
    """Parts of a tensor, in rows of its first axis where these fit into a part."""
    if not carriers.size:
        return []
    row = math.prod(shape[1:]) * wf.parts
    per_part = PART_BYTES // wf.width
    if len(shape) < 2 and wf.parts == 1:
        row = 1
    if row > per_part:
        row = wf.parts
    step = per_part // row * row
    pieces = [carriers[at : at + step] for at in range(0, carriers.size, step)]
    return [piece.reshape(-1, row) if row > 1 else piece for piece in pieces]


def compress_model_weights(
    model: Any, *, effort: Effort = "normal", threads: int | None = None
) -> CompressedWeights:
    """Compress all weights of a model without loss.

    Parameters
    ----------
    model : module, or mapping of str to tensors or arrays
        Anything with ``state_dict()``, or a mapping of names to tensors of torch (on any device)
        or arrays of numpy. Tensors that are the same memory are stored once.
    effort : {"fast", "normal", "max"}
        "fast" runs at 100 MB/s and is for checkpoints; it gives away about a hundredth of the
        size. "normal" runs at a few MB/s. Only steers the encoder.
    threads : int, optional
        Workers; by default as many as the machine has cores. The result is the same.

    Returns
    -------
    CompressedWeights

    Raises
    ------
    UnsupportedTypeError
        A value is no dense tensor, or of a type that weights do not have.

    Examples
    --------
    >>> import numpy as np
    >>> weights = np.random.default_rng(0).normal(size=(64, 512)).astype("f4")
    >>> packed = compress_model_weights({"layer.weight": weights})
    >>> round(packed.stored_bytes / packed.raw_bytes, 2)
    0.83
    >>> bool((decompress_arrays(packed)["layer.weight"] == weights).all())
    True
    """
    state = tn.state_of(model)
    found = {name: tn.describe(value, name) for name, value in state.items()}
    first: dict[Hashable, str] = {}
    for name, bits in found.items():
        first.setdefault(bits.tie, name)

    def one(piece: Array, wf: WeightFormat) -> TensorPart:
        raw = piece.reshape(-1).view("u1").data
        return TensorPart(encode_items(piece, wf, effort=effort), len(raw), xxh3(raw))

    made: dict[str, CompressedTensor] = {}
    with ThreadPoolExecutor(threads) as pool:
        waiting = []
        for name in first.values():
            wf, shape = found[name].format, found[name].shape
            pieces = _cut(tn.carriers_of(state[name], wf), wf, shape)
            waiting.append((name, [pool.submit(one, piece, wf) for piece in pieces]))
        for name, futures in waiting:
            parts = tuple(future.result() for future in futures)
            made[name] = CompressedTensor(found[name].format, found[name].shape, parts)
    return CompressedWeights({name: made[first[bits.tie]] for name, bits in found.items()})


def _decode(compressed: CompressedWeights) -> dict[int, Array]:
    """Carriers of every distinct tensor, by identity."""
    out = {}
    for name, tensor in compressed.items():
        if id(tensor) in out:
            continue
        try:
            out[id(tensor)] = tensor.carriers()
        except VortexError as error:
            error.message = f"the tensor {name!r} is damaged: {error.message}"
            raise
    return out


def decompress_arrays(compressed: CompressedWeights) -> dict[str, Array]:
    """Arrays of all tensors, without torch.

    Returns
    -------
    dict of str to array
        Types that numpy lacks are unsigned integers of the same bits: ``bfloat16`` is
        ``uint16`` with the dtype metadata ``{"weights": "bfloat16"}``, by which
        :func:`compress_model_weights` knows it again. Tied names have the same array.

    Raises
    ------
    CorruptionError
        A payload is damaged.
    """
    decoded = _decode(compressed)
    arrays = {id(t): tn.to_array(decoded[id(t)], t.format, t.shape) for t in compressed.distinct}
    return {name: arrays[id(tensor)] for name, tensor in compressed.items()}


def decompress_state(compressed: CompressedWeights) -> dict[str, Any]:
    """Tensors of torch, on the CPU, in the order of the names; tied names have the same tensor.

    Raises
    ------
    CorruptionError
        A payload is damaged.
    UnsupportedFeatureError
        torch is missing, or is too old for one of the types.
    """
    decoded = _decode(compressed)
    made = {id(t): tn.to_tensor(decoded[id(t)], t.format, t.shape) for t in compressed.distinct}
    return {name: made[id(tensor)] for name, tensor in compressed.items()}


def decompress_model_weights(model: Any, compressed: CompressedWeights) -> None:
    """Load compressed weights into a model, in place.

    Parameters
    ----------
    model : module, or mapping of str to tensors or arrays
        Its names, shapes and types must be exactly those that were compressed.
    compressed : CompressedWeights

    Raises
    ------
    ModelMismatchError
        They are not; the message lists what differs.
    CorruptionError
        A payload is damaged. In either case the model is left as it was.
    """
    state = tn.state_of(model)
    differences = _differences(state, compressed)
    if differences:
        more = f"; and {len(differences) - 8} more" if len(differences) > 8 else ""
        msg = f"the weights are of another model: {'; '.join(differences[:8])}{more}"
        raise ModelMismatchError(msg)
    decoded = _decode(compressed)
    for name, tensor in compressed.items():
        tn.write_into(state[name], decoded[id(tensor)], tensor.format)


def _differences(state: Mapping[str, Any], compressed: CompressedWeights) -> list[str]:
    """What keeps weights from being loaded, one line each."""
    lines = [f"{name!r} is missing in the model" for name in compressed if name not in state]
    lines += [f"{name!r} is not among the weights" for name in state if name not in compressed]
    tied: dict[Hashable, str] = {}
    for name, value in state.items():
        stored = compressed.get(name)
        if stored is None:
            continue
        bits = tn.describe(value, name)
        have, want = (bits.format.name, bits.shape), (stored.dtype, stored.shape)
        if have != want:
            lines.append(f"{name!r} is {_words(*have)} in the model, {_words(*want)} as stored")
            continue
        other = tied.setdefault(bits.tie, name)
        if not stored.same_bits(compressed[other]):
            lines.append(f"{name!r} and {other!r} are one tensor in the model, but not as stored")
        if isinstance(value, np.ndarray) and not value.flags.writeable:
            msg = f"the array {name!r} cannot be written to"
            raise UnsupportedTypeError(msg, hint="pass a writable copy")
    return lines


def _words(dtype: str, shape: Sequence[int]) -> str:
    return f"{dtype}{list(shape)}"
