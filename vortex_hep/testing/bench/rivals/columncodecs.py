"""Codecs on whole columns: xz, zstd, pcodec, OpenZL."""

from __future__ import annotations

import lzma
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from vortex_hep.testing.bench.content import Column

Encode = Callable[[Column], bytes]
Decode = Callable[[bytes, Column], bytes]


@dataclass(frozen=True)
class ColumnCodec:
    """A codec for one column at a time.

    Parameters
    ----------
    name : str
    encode : callable
        Column to bytes.
    decode : callable
        Those bytes, and the column for its type, to the column's bytes.
    needs : str or None
        Module that must be installed.
    """

    name: str
    encode: Encode
    decode: Decode
    needs: str | None = None

    @property
    def available(self) -> bool:
        """Whether what the codec needs is installed."""
        return self.needs is None or find_spec(self.needs) is not None


def _xz(column: Column) -> bytes:
    # lzma.compress(data, preset=9), byte for byte but for the dictionary named in its header (a
    # test holds that). Its dictionary of 64 MB finds no more where the data are smaller, but
    # clearing it for each of a thousand columns would make xz look five times slower than it is.
    dictionary = min(max(len(column.data), 1 << 12), 1 << 26)
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": dictionary}]
    return lzma.compress(column.data, lzma.FORMAT_XZ, filters=chain)


def _unxz(data: bytes, column: Column) -> bytes:
    return lzma.decompress(data)


def _zstd(column: Column) -> bytes:
    from vortex_hep.core import zstd

    return zstd.compress(column.data, 19)


def _unzstd(data: bytes, column: Column) -> bytes:
    from vortex_hep.core import zstd

    return zstd.decompress(data, len(column.data))


def _pcodec(column: Column) -> bytes:
    from pcodec import ChunkConfig, standalone

    config = ChunkConfig(compression_level=12, enable_8_bit=True)
    return bytes(standalone.simple_compress(_plain(column), config))


def _unpcodec(data: bytes, column: Column) -> bytes:
    from pcodec import standalone

    return bytes(standalone.simple_decompress(data).tobytes())


def _plain(column: Column) -> Any:
    """The values in a type pcodec has; Booleans as the bytes they are."""
    values = column.values()
    return values.view(np.uint8) if values.dtype == np.bool_ else values


def _openzl(column: Column) -> bytes:
    from openzl import ext

    context = ext.CCtx()
    context.set_parameter(ext.CParam.FormatVersion, ext.MAX_FORMAT_VERSION)
    compressor = _openzl_compressor()
    context.ref_compressor(compressor)
    values = column.values().view(f"u{column.width}")
    return bytes(context.compress([ext.Input(ext.Type.Numeric, values)]))


def _unopenzl(data: bytes, column: Column) -> bytes:
    from openzl import ext

    return bytes(ext.DCtx().decompress(data)[0].content.as_bytes())


def _openzl_compressor() -> Any:
    """Tries six graphs on a column and keeps the smallest result, as OpenZL's own BruteForce."""
    from openzl import ext

    graphs, nodes = ext.graphs, ext.nodes
    compressor = ext.Compressor()
    compressor.set_parameter(ext.CParam.FormatVersion, ext.MAX_FORMAT_VERSION)
    compressor.set_parameter(ext.CParam.CompressionLevel, 9)
    fields = graphs.FieldLz(compression_level=9)(compressor)
    zstd = graphs.Zstd(compression_level=19)(compressor)
    delta = nodes.DeltaInt()(compressor, fields)
    planes = nodes.TransposeSplit()(compressor, zstd)
    tokens = nodes.TokenizeNumeric(sort=True)(compressor, alphabet=delta, indices=fields)
    candidates = [
        graphs.Compress()(compressor),
        fields,
        delta,
        tokens,
        nodes.ConvertNumToStructLE()(compressor, planes),
        nodes.ConvertNumToSerialLE()(compressor, zstd),
    ]
    compressor.select_starting_graph(graphs.BruteForce(candidates)(compressor))
    return compressor


COLUMN_CODECS = (
    ColumnCodec("xz -9, per column", _xz, _unxz),
    ColumnCodec("zstd -19, per column", _zstd, _unzstd),
    ColumnCodec("pcodec 12, per column", _pcodec, _unpcodec),
    ColumnCodec("OpenZL, per column", _openzl, _unopenzl, needs="openzl"),
)
