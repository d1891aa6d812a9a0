"""Tests on files of other programs: each is restored bit for bit."""

from __future__ import annotations

from typing import Any

import pytest

from vortex_hep.readers import compare_sources, open_source

#: Files of which uproot cannot interpret some branches, or takes long over them, go through
#: archives alone: tests/api/test_real_files.py.
FILES = [
    "real/nanoaod/NanoAODv5_sample.root",
    "real/nanoaod/nano_tt_v12.root",
    "real/nanoaod/open-data-example.root",
    "real/nanoaod/pfnano.root",
    "real/nanoaod/scouting_nano.root",
    "generated/nanoaod/ttbar_test.root",
    "real/root/test_FCC_Winter2023.root",
    "real/root/uproot-HZZ-lzma.root",
    "real/root/uproot-Zmumu.root",
    "real/alice/AO2D_20200201_v0.root",
    "real/alice/CharmPbPb276PythiaMNR.root",
    "real/alice/PMD_PED.root",
    "real/alice/uproot-issue-85.root",
    "real/alice/uproot-issue187.root",
]


#: Those that take more than five seconds.
SLOW = {
    "real/nanoaod/NanoAODv5_sample.root", "real/nanoaod/pfnano.root",
    "generated/nanoaod/ttbar_test.root",
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in FILES]
)
def test_round_trip(shared_data, tmp_path, name, round_trip, assert_same_for_uproot):
    path, out = shared_data / name, tmp_path / "restored.root"
    round_trip(path, out, target=1 << 23)
    with open_source(path) as a, open_source(out) as b:
        assert a.kind == "root"
        assert compare_sources(a, b) == []
    assert_same_for_uproot(path, out)


def test_split_collections_share_a_table(shared_data):
    with open_source(shared_data / "real/alice/AliESDs_20200201_v0.root") as source:
        tables = {table.name: table for table in source.trees["esdTree"].tables}
        assert len(tables["Tracks"].columns) > 40
        data: Any = source.trees["esdTree"].read(0, 100, ["Tracks.fITSncls", "Tracks"])
        # A referenced TObject's fBits has six bytes instead of four.
        whole: Any = source.trees["esdTree"].read(0, 100, ["Tracks.fBits", "Tracks.fBits.pidf"])
    bits = whole["Tracks"].columns["Tracks.fBits"]
    assert bits.dtype == "<u4"
    assert (bits & 16).any()
    assert data["Tracks"].num_rows == data[""].columns["Tracks"].sum()
