"""Tests of size and Adler-32 of files, as a whole and from parts."""

from __future__ import annotations

import io
import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vortex_hep.core.storage.identity import Identity, identity_of, joined_identity
from vortex_hep.core.storage.ranges import open_binary
from vortex_hep.errors import CorruptionError


@given(st.lists(st.binary(max_size=50).map(lambda b: b * 400), max_size=6))
def test_parts_give_what_the_whole_has(parts):
    whole = b"".join(parts)
    found = joined_identity((len(p), zlib.adler32(p)) for p in parts)
    assert found == Identity.make(len(whole), zlib.adler32(whole))


def test_sums_wrap_around():
    part = b"\xff" * 100_000
    found = joined_identity([(len(part), zlib.adler32(part))] * 7)
    assert found == Identity.make(700_000, zlib.adler32(part * 7))


def test_files_are_read_in_pieces(monkeypatch):
    # The package has a function of the name of this module.
    monkeypatch.setattr(sys.modules["vortex_hep.core.storage.identity"], "_STEP", 10)
    data = bytes(range(256))
    found = identity_of(open_binary(io.BytesIO(data)))
    assert found == Identity(256, f"{zlib.adler32(data):08x}")
    assert Identity.parse(found.document) == found


@pytest.mark.parametrize("document", [{}, None, {"size": 1, "adler32": "xyz"}, {"size": 1}])
def test_nonsense_is_refused(document):
    with pytest.raises(CorruptionError, match="invalid 'size' or 'adler32'"):
        Identity.parse(document)


def test_another_file_is_refused():
    with pytest.raises(CorruptionError, match=r"has 2 bytes, adler32 00000001; the original has 1"):
        Identity.make(1, 1).check(Identity.make(2, 1), "x.root")
