"""Files of experiments go into an archive and come back, bit for bit."""

import pytest

import vortex_hep
from vortex_hep.model import Model
from vortex_hep.readers import compare_sources, open_source

FILES = [
    "NanoAODv5_sample.root",
    "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root",
    "nano_dy.root",
    "nano_dy_rntuple.root",
    "nano_tt_v12.root",
    "nano_tt_v15.root",
    "open-data-example.root",
    "pfnano.root",
    "scouting_nano.root",
]


def round_trip(source, folder, **options):
    archive, restored = folder / "a.vxc", folder / "r.root"
    report = vortex_hep.compress_file(source, archive, effort="fast", **options)
    check = vortex_hep.verify(archive, against=source)
    assert check.differences == []
    assert check.raw_bytes >= report.raw_bytes
    vortex_hep.restore(archive, restored, compression="zstd:1")
    with open_source(source) as a, open_source(restored) as b:
        assert compare_sources(a, b) == []
    return report


@pytest.mark.parametrize("name", FILES)
def test_round_trip(shared_data, tmp_path, name):
    source = shared_data / "real" / "nanoaod" / name
    report = round_trip(source, tmp_path, model=Model({}))
    assert report.stored_bytes < report.source_bytes


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["nano_tt_v12.root", "scouting_nano.root", "NanoAODv5_sample.root"]
)
def test_round_trip_with_a_model_of_its_own(shared_data, tmp_path, name):
    source = shared_data / "real" / "nanoaod" / name
    report = round_trip(source, tmp_path)
    (tmp_path / "a.vxc").rename(tmp_path / "own.vxc")
    (tmp_path / "r.root").unlink()
    plain = round_trip(source, tmp_path, model=Model({}))
    assert report.stored_bytes <= plain.stored_bytes
