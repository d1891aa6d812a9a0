"""Tests of truncated, damaged, hostile and foreign files: always an error, never wrong data."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_hep import errors
from vortex_hep.codec.container import container_format as fmt
from vortex_hep.codec.container.container import ContainerReader, ContainerWriter, xxh3
from vortex_hep.core import zstd
from vortex_hep.core.magic import MAGIC
from vortex_hep.testing import DamageOptions, check_cuts, check_flips

PAYLOADS = [b"first payload", b"", bytes(range(40))]


def build(payloads=PAYLOADS) -> bytes:
    buffer = io.BytesIO()
    writer = ContainerWriter(buffer, kind=1)
    for payload in payloads:
        writer.add(3, payload, decoded_xxh3=xxh3(payload), decoded_size=len(payload))
    writer.finish({"tree": "Events"})
    return buffer.getvalue()


SMALL = build()
LARGE = build([*PAYLOADS, np.random.default_rng(0).bytes(70_000)])


def verify(data: bytes) -> None:
    """Open and verify; whatever chunk can be read must be right."""
    reader = ContainerReader(io.BytesIO(data))
    for number, payload in enumerate(PAYLOADS):
        try:
            assert reader.read(number) == payload
        except errors.VortexError:
            continue
    reader.verify()


def test_every_prefix_of_a_small_file_is_truncated():
    with pytest.raises(errors.NotVortexError, match="empty"):
        verify(b"")
    check_cuts(SMALL, verify, range(1, len(SMALL)), errors=errors.TruncatedError)


def test_prefixes_of_a_file_longer_than_the_tail_are_truncated():
    sizes = [*range(1, 400), *range(400, len(LARGE), 997), *range(len(LARGE) - 400, len(LARGE))]
    check_cuts(LARGE, verify, sizes, errors=errors.TruncatedError)


@pytest.mark.slow
def test_flips_of_every_byte_of_a_small_file_are_noticed():
    def expected(damage):
        if damage.position < len(MAGIC):
            return errors.CorruptionError, errors.NotVortexError
        return errors.CorruptionError

    def inspect(damage, error):
        assert error.offset is not None
        if damage.position >= len(MAGIC):
            assert type(error) is errors.CorruptionError

    options = DamageOptions(name="container", inspect=inspect)
    masks = [1 << bit for bit in range(8)] + [0xFF, 0x5A]
    check_flips(SMALL, verify, masks=masks, every_mask=True, errors=expected, options=options)
    # Every mask falls on every part of the file, if not on every byte of it.
    places = range(0, len(SMALL), 17)
    check_flips(
        SMALL, verify, places, masks=range(1, 256), every_mask=True, errors=expected,
        options=options,
    )  # fmt: skip


def test_flips_in_a_file_longer_than_the_tail_are_noticed():
    places = [
        *range(300),
        *range(300, len(LARGE) - 400, 5003),
        *range(len(LARGE) - 400, len(LARGE)),
    ]
    check_flips(LARGE, verify, places, masks=(0x01, 0x80, 0xFF), every_mask=True)


@settings(max_examples=150)
@given(st.data())
def test_cut_out_or_repeated_stretches_are_noticed(data):
    start = data.draw(st.integers(0, len(SMALL)))
    stop = data.draw(st.integers(start, len(SMALL)))
    again = data.draw(st.integers(0, 2))
    changed = SMALL[:start] + SMALL[start:stop] * again + SMALL[stop:]
    if changed != SMALL:
        with pytest.raises(errors.VortexError):
            verify(changed)


@pytest.mark.parametrize("size", [1, 63, 64, 1000, 100_000])
def test_appended_bytes_are_noticed(size):
    with pytest.raises(errors.CorruptionError):
        verify(SMALL + bytes(size))
    with pytest.raises(errors.VortexError):
        verify(SMALL + SMALL)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty file"),
        (b"root\x00\x00\xf6\x02" + bytes(100), "ROOT"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"HepMC::Version 3.02.06\n", "HepMC"),
        (gzip.compress(b"x" * 100, mtime=0), "gzip"),
        (b"event,run,lumi\n1,2,3\n" * 9000, "text file"),
        (SMALL.replace(b"\r\n", b"\n"), "text mode"),
        (SMALL.replace(b"\n", b"\r\n"), "text mode"),
        (bytes(200), "another kind"),
        (bytes(200_000), "another kind"),
    ],
)
def test_foreign_files_are_told_what_they_are(data, words):
    with pytest.raises(errors.NotVortexError, match=words):
        ContainerReader(io.BytesIO(data))


# Hostile files: every checksum right, the content not.


def seal(
    rows,
    metadata: bytes = b"{}",
    *,
    size: int | None = None,
    stored: bytes | None = None,
    count: int | None = None,
    frames: bytes = b"",
    header=None,
) -> bytes:
    """A file with valid checksums around whatever index and metadata are given."""
    header = header or fmt.Header(1, 1, 0, 0)
    head = fmt.pack_header(header)
    table = np.array(rows, fmt.CHUNK_DTYPE)
    stored = zstd.compress(metadata) if stored is None else stored
    size = len(metadata) if size is None else size
    count = len(table) if count is None else count
    footer = fmt.pack_footer_head(count, size, len(stored)) + table.tobytes() + stored
    at = len(head) + len(frames)
    total = at + len(footer) + fmt.TRAILER_SIZE
    trailer = fmt.Trailer(at, len(footer), xxh3(footer), total, header)
    return head + frames + footer + fmt.pack_trailer(trailer)


def frame(number: int, payload: bytes, kind: int = 1) -> bytes:
    return fmt.pack_frame(fmt.Frame(number, kind, len(payload), xxh3(payload))) + payload


def row(number=0, kind=1, reserved=0, offset=40, stored=5, decoded=5, digest=None):
    digest = xxh3(b"hello") if digest is None else digest
    return (number, kind, reserved, offset, stored, digest, decoded, 0)


HELLO = frame(0, b"hello")


def test_sealed_file_is_valid_as_such():
    reader = ContainerReader(io.BytesIO(seal([row()], frames=HELLO)))
    reader.verify()
    assert reader.read(0) == b"hello"
    ContainerReader(io.BytesIO(seal([]))).verify()


BIG = (1 << 64) - 1


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row(number=1)],
        [row(kind=0)],
        [row(reserved=1)],
        [row(offset=39)],
        [row(offset=BIG)],
        [row(stored=4)],
        [row(stored=6)],
        [row(stored=BIG)],
        [row(stored=BIG - 31)],
        [row(decoded=fmt.MAX_CHUNK_DECODED + 1)],
        [row(decoded=BIG)],
        [row(), row()],
        [row(), row(number=1)],
        [row(), row(number=1, offset=77, stored=BIG - 31)],
    ],
)
def test_index_that_cannot_be_is_refused(rows):
    with pytest.raises(errors.CorruptionError):
        ContainerReader(io.BytesIO(seal(rows, frames=HELLO)))


def test_total_of_decoded_sizes_is_limited():
    frames = b"".join(frame(i, b"") for i in range(513))
    rows = [
        row(i, offset=40 + 32 * i, stored=0, decoded=1 << 31, digest=xxh3(b"")) for i in range(513)
    ]
    with pytest.raises(errors.CorruptionError):
        ContainerReader(io.BytesIO(seal(rows, frames=frames)))


@pytest.mark.parametrize(
    "metadata",
    [b"", b"[]", b"1", b"{} ", b'{"b":1,"a":2}', b'{"a":1,"a":2}', b'{"a": 1}', b'{"a":NaN}',
     b'{"a":1.0e5}', '{"a":"é"}'.encode(), b'{"a":"\\u00C9"}', b"\xff", b'{"a":' * 50_000,
     b'{"a":' + b"9" * 6000 + b"}"],
)  # fmt: skip
def test_metadata_that_is_not_canonical_is_refused(metadata):
    with pytest.raises(errors.CorruptionError):
        ContainerReader(io.BytesIO(seal([], metadata)))


def test_bomb_in_the_metadata_costs_no_memory():
    bomb = zstd.compress(b" " * (300 << 20), 1)
    tracemalloc.start()
    for size in (2, fmt.MAX_METADATA + 1, BIG):
        with pytest.raises(errors.CorruptionError):
            ContainerReader(io.BytesIO(seal([], stored=bomb, size=size)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20


@pytest.mark.parametrize("count", [1, 2, 1 << 24, (1 << 32) - 1])
def test_number_of_chunks_beyond_the_footer_is_refused(count):
    with pytest.raises(errors.CorruptionError):
        ContainerReader(io.BytesIO(seal([], count=count)))


@pytest.mark.parametrize("frames", [frame(1, b"hello"), frame(0, b"hello", 2), frame(0, b"hellO")])
def test_frame_that_contradicts_the_index_is_refused(frames):
    reader = ContainerReader(io.BytesIO(seal([row()], frames=frames)))
    with pytest.raises(errors.CorruptionError):
        reader.read(0)
    with pytest.raises(errors.CorruptionError):
        reader.verify()


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (fmt.Header(2, 1, 0, 0), errors.UnsupportedVersionError),
        (fmt.Header(0, 1, 0, 0), errors.UnsupportedVersionError),
        (fmt.Header(1, 0, 0, 0), errors.UnsupportedFeatureError),
        (fmt.Header(1, 4, 0, 0), errors.UnsupportedFeatureError),
        (fmt.Header(1, 1, 2, 0), errors.UnsupportedFeatureError),
        (fmt.Header(1, 1, 1 << 63, 0), errors.UnsupportedFeatureError),
    ],
)
def test_newer_versions_and_features_are_refused(header, error):
    with pytest.raises(error, match=r"update vortex_hep"):
        ContainerReader(io.BytesIO(seal([], header=header)))


def test_unknown_optional_features_are_ignored():
    ContainerReader(io.BytesIO(seal([], header=fmt.Header(1, 1, 0, BIG)))).verify()


@pytest.mark.parametrize("at", [11, 12, 15])
def test_reserved_bytes_of_the_header_are_refused(at):
    body = bytearray(fmt.pack_header(fmt.Header(1, 1, 0, 0))[:-8])
    body[at] = 1
    data = bytes(body) + struct.pack("<Q", xxh3(bytes(body))) + seal([])[fmt.HEADER_SIZE :]
    with pytest.raises(errors.UnsupportedFeatureError):
        ContainerReader(io.BytesIO(data))


def test_header_that_contradicts_the_trailer_is_refused():
    other = fmt.pack_header(fmt.Header(1, 2, 0, 0)) + seal([])[fmt.HEADER_SIZE :]
    with pytest.raises(errors.CorruptionError, match="disagree"):
        ContainerReader(io.BytesIO(other)).verify()
