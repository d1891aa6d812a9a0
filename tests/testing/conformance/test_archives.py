"""The checks of archives catch those that swallow damage or differ from their sources."""

from __future__ import annotations

import io

import awkward as ak
import numpy as np
import pytest

import vortex_hep
from vortex_hep.archive.archive import Archive
from vortex_hep.errors import VortexError
from vortex_hep.testing import (
    ConformanceError,
    check_archive_damage,
    check_archive_round_trip,
    check_hostile_metadata,
    check_hostile_payloads,
    odd_events,
)
from vortex_hep.testing.conformance import archives

PLAIN = vortex_hep.Model({})


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Bytes of a small archive without a model."""
    path = tmp_path_factory.mktemp("small") / "a.vxc"
    lists = ak.unflatten(np.arange(9, dtype="i2"), [4, 0, 5])
    vortex_hep.compress_tree({"x": np.arange(3.0), "l": lists}, path=path, model=PLAIN)
    return path.read_bytes()


def test_damage_raises(small):
    check_archive_damage(small)


def test_hostile_contents_raise(small):
    check_hostile_payloads(small, trials=40)
    check_hostile_metadata(small, values=(None, -1, {}, 2**70))


def test_odd_arrays_come_back(tmp_path):
    for entries in (60, 0):
        events = odd_events(entries)
        path = tmp_path / f"{entries}.vxc"
        vortex_hep.compress_tree(events, path=path, model=PLAIN, effort="fast")
        with vortex_hep.open(path) as archive:
            found = archive["arrays"].arrays()
        assert set(ak.fields(found)) == set(events)
        for name, array in events.items():
            assert ak.num(found[name], axis=0) == entries
            a, b = (np.asarray(ak.flatten(x, axis=None)) for x in (found[name], array))
            assert a.tobytes() == b.tobytes(), name
            assert a.dtype == b.dtype, name


def test_an_archive_reader_that_swallows_damage_is_caught(small, monkeypatch):
    """The index is believed, and no checksum of data is looked at."""

    def swallows(data, *, model=None):
        with vortex_hep.open(io.BytesIO(data), threads=1) as archive:
            archive.info()

    monkeypatch.setattr(archives, "read_everything", swallows)
    with pytest.raises(ConformanceError, match=r"^archive, byte \d+ of \d+, bits .* flipped: dama"):
        check_archive_damage(small)


def test_an_archive_reader_that_takes_cut_files_is_caught(small, monkeypatch):
    def swallows(data, *, model=None):
        try:
            archives_read(data)
        except VortexError:
            return

    archives_read = archives.read_everything
    monkeypatch.setattr(archives, "read_everything", swallows)
    with pytest.raises(ConformanceError, match=r"^archive, cut to 0 of \d+ bytes: damage is not"):
        check_archive_damage(small)


def test_decoders_that_raise_other_errors_are_caught(small, monkeypatch):
    def fails(self):
        raise KeyError("tables")

    def read(data, *, model=None):
        if data != small:
            monkeypatch.setattr(Archive, "info", fails)
        return archives_read(data)

    archives_read = archives.read_everything
    monkeypatch.setattr(archives, "read_everything", read)
    with pytest.raises(ConformanceError, match=r"chunk \d+, byte \d+: reading raises another"):
        check_hostile_payloads(small)
    monkeypatch.undo()
    monkeypatch.setattr(archives, "read_everything", read)
    with pytest.raises(ConformanceError, match=r"metadata .* = .*: reading raises another"):
        check_hostile_metadata(small)


def test_a_file_comes_back(example_file, tmp_path):
    report = check_archive_round_trip(example_file, tmp_path, model=PLAIN, effort="fast")
    assert report.stored_bytes < report.source_bytes


def test_archives_that_differ_from_their_source_are_caught(example_file, tmp_path, monkeypatch):
    def restores_another(archive, out, **_):
        from vortex_hep.testing import write_example

        write_example(out, events=300, seed=8)

    monkeypatch.setattr(archives, "restore", restores_another)
    with pytest.raises(ConformanceError, match=r"^archive, file .*example\.root: the restored"):
        check_archive_round_trip(example_file, tmp_path, model=PLAIN, effort="fast")
