"""Tests of compression blocks, keys and basket tails."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vortex_hep.readers.root.file.compression import BlockError, Compression, compress, decompress
from vortex_hep.readers.root.file.tkey import START_BIG_FILE, DirectoryHeader, FileHeader, Key
from vortex_hep.readers.root.ttree.basket import (
    TAIL_NONE,
    TAIL_OFFSETS,
    TAIL_RAW,
    TAIL_SIZES,
    build_tail,
    split_tail,
)

KEY = Key(0, 4, 10, 123456789, 60, 1, 100, 100, b"TBasket", b"branch", b"Events")


@pytest.mark.parametrize("text", ["zlib:1", "zlib:9", "lzma:1", "lz4:1", "lz4:9", "zstd:5", "none"])
@given(data=st.binary(max_size=3000), times=st.integers(1, 50))
def test_blocks_come_back(text, data, times):
    data = data * times
    how = Compression.parse(text)
    assert how is not None
    packed = compress(data, how)
    assert len(packed) <= len(data)
    assert decompress(memoryview(packed), len(data)) == data


def test_more_than_one_block():
    data = bytes(40_000_000)
    packed = compress(data, Compression("zlib", 1))
    assert decompress(memoryview(packed), len(data)) == data


@pytest.mark.parametrize("text", ["zlib:1", "lzma:1", "lz4:4", "zstd:5"])
def test_damaged_blocks_raise(text):
    data = bytes(range(256)) * 20
    how = Compression.parse(text)
    assert how is not None
    packed = compress(data, how)
    for size in range(0, len(packed), 7):
        with pytest.raises(BlockError):
            decompress(memoryview(packed)[:size], len(data))
    with pytest.raises(BlockError, match="unknown compression algorithm"):
        decompress(memoryview(b"??" + packed[2:]), len(data))


def test_compression_settings():
    assert Compression.from_code(505) == Compression("zstd", 5)
    assert Compression.from_code(209) == Compression("lzma", 9)
    assert Compression.from_code(1) == Compression("zlib", 1)
    assert Compression.from_code(0).algorithm == "none"
    assert Compression.parse("original") is None


@given(st.binary(max_size=300), st.binary(max_size=300), st.booleans())
def test_key_comes_back(name, title, big):
    key = Key(99, 1004 if big else 4, 10, 5, 60, 1, 7, 8, b"TBasket", name, title)
    assert Key.unpack(key.pack()) == (key, len(key.pack()))


def test_truncated_key_raises():
    data = KEY.pack()
    for size in range(len(data)):
        with pytest.raises(ValueError, match=r"TKey|TString"):
            Key.unpack(data[:size])


def test_key_grows_beyond_two_gigabytes():
    assert KEY.placed(1000, 100).keylen == KEY.keylen
    far = KEY.placed(START_BIG_FILE + 1, 100)
    assert far.keylen == KEY.keylen + 8
    assert far.version == 1004
    assert Key.unpack(far.pack())[0] == far


def test_directory_keeps_its_length():
    small = DirectoryHeader(5, 1, 2, 3, 4, 100, 0, 200, bytes(18) + bytes(12))
    big = DirectoryHeader(5, 1, 2, 3, 4, 100, 0, START_BIG_FILE + 5, small.rest)
    assert len(small.pack()) == len(big.pack())
    assert DirectoryHeader.unpack(big.pack()) == big
    with pytest.raises(ValueError, match="no room"):
        DirectoryHeader(5, 1, 2, 3, 4, 100, 0, START_BIG_FILE + 5, b"").pack()


def test_file_header_comes_back():
    for end in (1000, START_BIG_FILE + 1000):
        header = FileHeader(63400, 100, end, 50, 60, 1, 70, 4, 505, 80, 90, 1, bytes(16))
        assert FileHeader.unpack(header.pack()) == header


@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=30),
    st.sampled_from([TAIL_NONE, TAIL_OFFSETS, TAIL_SIZES]),
    st.integers(-(2**31), 2**31 - 1),
)
def test_tails_come_back(lengths, mode, last):
    lengths = np.array(lengths, np.int64)
    tail = build_tail(mode, lengths, 60, last)
    found, found_last, found_lengths = split_tail(tail, len(lengths), 60, int(lengths.sum()))
    if mode == TAIL_NONE:
        assert found == TAIL_NONE
        assert found_lengths is None
    else:
        assert (found, found_last) == (mode, last)
        assert found_lengths is not None
        assert np.array_equal(found_lengths, lengths)


@given(st.binary(max_size=60), st.integers(0, 10))
def test_odd_tails_are_kept(tail, nev):
    mode, last, lengths = split_tail(tail, nev, 60, 100)
    if mode == TAIL_RAW:
        assert lengths is None
    elif mode != TAIL_NONE:
        assert lengths is not None
        assert build_tail(mode, lengths, 60, last) == tail
