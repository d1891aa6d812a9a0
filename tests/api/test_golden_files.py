"""Golden archives of files of every kind: what version 1 wrote is restored for ever."""

from __future__ import annotations

import pytest

import vortex_hep
from tests.golden.golden_files import FILES, FOLDER
from vortex_hep.readers import compare_sources, open_source


@pytest.mark.parametrize("name", FILES)
def test_golden_files_are_restored(tmp_path, name):
    archive, source, out = FOLDER / f"{name}.vxc", FOLDER / name, tmp_path / name
    assert vortex_hep.verify(archive, against=source).differences == []
    vortex_hep.restore(archive, out)
    with open_source(source) as a, open_source(out) as b:
        assert compare_sources(a, b) == []
    if not name.startswith("trees"):
        assert out.read_bytes() == source.read_bytes()


def test_golden_files_are_of_every_kind():
    found = set()
    for name in FILES:
        with vortex_hep.open(FOLDER / f"{name}.vxc") as archive:
            found.add((archive.source["kind"], archive.identity is not None))
    kinds = {"root", "hdf5", "hepmc", "opaque"}
    exact = {"root", "hdf5", "bytes"}
    assert found >= {(kind, False) for kind in kinds} | {(kind, True) for kind in exact}
