"""TBranch of version 8, as Geant4 writes it, built byte by byte (``TBranch::Streamer``)."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from vortex_hep.readers.root.ttree.stored import number_at, table
from vortex_hep.readers.root.ttree.streamed import TreeWalker, basket_places

TOBJECT = struct.pack(">HII", 1, 0, 0)


def _counted(version, content):
    return struct.pack(">IH", 0x40000000 | (len(content) + 2), version) + content


def _array(items=b"", size=0):
    return _counted(3, TOBJECT + b"\0" + struct.pack(">ii", size, 0) + items)


def _branch(version, seeks, wide=False):
    named = _counted(1, TOBJECT + b"\x01x\0")
    fill = _counted(1, struct.pack(">hh", 0, 0)) if version > 7 else b""
    head = struct.pack(">iiiiiii", 1, 32000, 0, len(seeks), 30, 0, 4)
    head += struct.pack(">i", 0) if version > 6 else b""
    head += struct.pack(">ddd", 30, 240, 100)
    padded = [*seeks, *[0] * (4 - len(seeks))]
    tables = b"\x01" + struct.pack(">4i", 50, 50, 0, 0)
    tables += b"\x01" + struct.pack(">4i", 0, 20, 0, 0)
    tables += bytes([1 + wide]) + struct.pack(">4q" if wide else ">4i", *padded)
    content = named + fill + head + _array() + _array() + _array() + tables + b"\0"
    streamed = b"\xff\xff\xff\xffTBranch\0" + _counted(version, content)
    return struct.pack(">I", 0x40000000 | len(streamed)) + streamed


@pytest.mark.parametrize("version", [6, 7, 8, 9])
@pytest.mark.parametrize("wide", [False, True])
def test_places_of_an_old_branch(version, wide):
    data = bytearray(_array(_branch(version, [1000, 2000], wide), 1))
    (branch,) = TreeWalker(data, 50).walk(0)
    assert (branch.name, branch.entries, branch.tot_bytes) == ("x", 30, 240)
    assert (branch.write_basket, branch.max_baskets) == (2, 4)
    assert table(data, branch, "seek").tolist() == [1000, 2000, 0, 0]
    assert table(data, branch, "entry").tolist() == [0, 20, 0, 0]
    assert table(data, branch, "bytes").tolist() == [50, 50, 0, 0]
    assert basket_places(bytes(data), [branch]) == [(1000, 50), (2000, 50)]
    zipped = number_at(data, branch.at_zip_bytes, branch.total_dtype)
    assert zipped.tolist() == [100.0]
    zipped[0] += 28
    assert np.frombuffer(data, ">f8", 1, branch.at_zip_bytes)[0] == 128
    assert number_at(data, branch.at_tot_bytes, branch.total_dtype)[0] == 240


def test_versions_before_are_unknown():
    with pytest.raises(ValueError, match="TBranch version 5"):
        TreeWalker(bytearray(_array(_branch(5, [1000]), 1)), 50).walk(0)
