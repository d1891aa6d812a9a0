"""Tests of writing and reading containers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_hep import errors
from vortex_hep.codec.container import container_format as fmt
from vortex_hep.codec.container import container_read
from vortex_hep.codec.container.container import (
    KIND_ARCHIVE,
    KIND_MODEL,
    ContainerReader,
    ContainerWriter,
    check_decoded,
    scan_frames,
    xxh3,
)

GOLDEN = Path(__file__).parents[2] / "golden"


def build(chunks, metadata=None, **options) -> bytes:
    buffer = io.BytesIO()
    writer = ContainerWriter(buffer, kind=KIND_ARCHIVE, **options)
    for number, (kind, payload) in enumerate(chunks):
        assert writer.add(kind, payload, decoded_xxh3=xxh3(payload), decoded_size=len(payload)) == (
            number
        )
    writer.finish(metadata if metadata is not None else {})
    return buffer.getvalue()


class Counting(io.BytesIO):
    """Counts the reads, which over a network are round trips."""

    reads = 0

    def read(self, size=-1, /):
        self.reads += 1
        return super().read(size)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 65535), st.binary(max_size=300)), max_size=20),
    st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.floats(0, 1), max_size=5),
    st.randoms(),
)
def test_round_trip(chunks, metadata, random):
    data = build(chunks, metadata)
    with ContainerReader(io.BytesIO(data)) as reader:
        reader.verify()
        assert reader.metadata == metadata
        assert reader.kind == KIND_ARCHIVE
        assert reader.size == len(data)
        assert reader.chunks["kind"].tolist() == [kind for kind, _ in chunks]
        wanted = [random.randrange(len(chunks)) for _ in range(10)] if chunks else []
        assert reader.read_many(wanted) == [chunks[i][1] for i in wanted]
        for row, (_, payload) in zip(reader.chunks, chunks, strict=True):
            check_decoded(row, payload)
            with pytest.raises(errors.CorruptionError, match="other data"):
                check_decoded(row, payload + b"x")
    found = [(frame.kind, payload) for frame, payload in scan_frames(io.BytesIO(data))]
    assert found == chunks


def test_opening_takes_at_most_two_reads():
    small = Counting(build([(1, b"x")] * 5))
    ContainerReader(small)
    assert small.reads == 1
    large = Counting(build([(1, b"x")] * 2000 + [(1, bytes(100_000))]))
    reader = ContainerReader(large)
    assert large.reads == 2
    reader.read_many(range(10, 20))
    assert large.reads == 3, "neighbouring chunks come in one read"


def test_metadata_of_any_text_survives():
    metadata = {"title": "p_{T} é \udcff \U0001f600", "deep": [[{"z": 1, "a": 2.5e-300}]]}
    assert ContainerReader(io.BytesIO(build([], metadata))).metadata == metadata


@pytest.mark.parametrize("metadata", [{"x": float("nan")}, {"x": {1, 2}}, {"x": b"bytes"}])
def test_metadata_that_is_not_json_is_refused(metadata):
    with pytest.raises(errors.UnsupportedTypeError):
        build([], metadata)


def test_limits_of_the_writer():
    writer = ContainerWriter(io.BytesIO(), kind=KIND_MODEL)
    for kind, size in ((0, 1), (65536, 1), (1, -1), (1, fmt.MAX_CHUNK_DECODED + 1)):
        with pytest.raises(errors.UnsupportedFeatureError):
            writer.add(kind, b"", decoded_xxh3=0, decoded_size=size)
    with pytest.raises(errors.UnsupportedFeatureError):
        writer.finish({"x": "y" * fmt.MAX_METADATA})
    writer.finish({})
    with pytest.raises(errors.UnsupportedFeatureError, match="finished"):
        writer.add(1, b"", decoded_xxh3=0, decoded_size=0)
    with pytest.raises(errors.UnsupportedFeatureError):
        ContainerWriter(io.BytesIO(), kind=7)
    with pytest.raises(errors.UnsupportedFeatureError):
        ContainerWriter(io.BytesIO(), kind=KIND_ARCHIVE, features=2)


def test_no_such_chunk():
    reader = ContainerReader(io.BytesIO(build([(1, b"x")])))
    for number in (-1, 1):
        with pytest.raises(errors.NotFoundError):
            reader.read(number)


def test_scan_recovers_what_a_cut_or_damaged_file_holds():
    chunks = [(i + 1, bytes([i]) * (40 * i)) for i in range(6)]
    data = build(chunks)
    rows = ContainerReader(io.BytesIO(data)).chunks
    cut = data[: int(rows["offset"][5]) + 50]
    assert [f.id for f, _ in scan_frames(io.BytesIO(cut))] == [0, 1, 2, 3, 4]
    for at in (int(rows["offset"][2]) + 3, int(rows["offset"][2]) + fmt.FRAME_SIZE + 1):
        damaged = bytearray(data)
        damaged[at] ^= 1
        assert [f.id for f, _ in scan_frames(io.BytesIO(damaged))] == [0, 1, 3, 4, 5]


def test_scan_finds_a_sync_across_blocks(monkeypatch):
    monkeypatch.setattr(container_read, "_WALK", 7)
    data = bytearray(build([(1, bytes(50)), (2, b"second")]))
    data[fmt.HEADER_SIZE] ^= 1
    assert [f.kind for f, _ in scan_frames(io.BytesIO(data))] == [2]


def test_sizes_of_the_structs_are_those_of_the_specification():
    sizes = fmt.HEADER_SIZE, fmt.FRAME_SIZE, fmt.FOOTER_SIZE, fmt.CHUNK_DTYPE.itemsize
    assert (*sizes, fmt.TRAILER_SIZE) == (40, 32, 24, 48, 64)


def test_golden_file_reads_as_ever():
    with ContainerReader(GOLDEN / "container-v1.vxc") as reader:
        reader.verify()
        assert reader.metadata == {
            "name": "golden é",
            "numbers": [1, -2, 0.5],
            "nested": {"a": True, "b": None},
        }
        assert reader.features == (0, 1 << 63)
        assert reader.chunks["kind"].tolist() == [1, 2, 65535]
        assert reader.read_many([0, 1, 2]) == [b"a payload", b"", bytes(range(256))]
        for row, data in zip(reader.chunks, (b"what it decodes to", b"", bytes(1000)), strict=True):
            check_decoded(row, data)
        assert reader.chunks.dtype == fmt.CHUNK_DTYPE
        assert not reader.chunks.flags.writeable


def test_decoded_array_is_checked_by_its_bytes():
    payload = np.arange(5, dtype="<f4")
    row = np.zeros((), fmt.CHUNK_DTYPE)
    row["decoded_size"], row["decoded_xxh3"] = payload.nbytes, xxh3(payload.tobytes())
    check_decoded(row, payload.data)


def test_worked_example_of_the_specification():
    text = (Path(__file__).parents[3] / "docs" / "SPEC.md").read_text(encoding="utf-8")
    block = text.split("### 2.8 Worked example")[1].split("```")[1]
    data = b"".join(bytes.fromhex(line[4:]) for line in block.splitlines() if line)
    with ContainerReader(io.BytesIO(data)) as reader:
        reader.verify()
        assert (reader.kind, reader.metadata, len(reader.chunks)) == (KIND_MODEL, {}, 0)
