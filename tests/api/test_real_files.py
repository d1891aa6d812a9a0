"""Tests on files of experiments: compressed and restored, bit for bit."""

import pytest

from vortex_hep.models.model import Model
from vortex_hep.readers import open_source
from vortex_hep.testing import check_archive_round_trip

FILES = [
    "alice/AO2D_20200201_v0.root",
    "alice/AliESDs_20200201_v0.root",
    "alice/CharmPbPb276PythiaMNR.root",
    "alice/PMD_PED.root",
    "alice/uproot-issue-85.root",
    "alice/uproot-issue187.root",
    "camels/snap_2332.1.hdf5",
    "camels/snap_2332.5.hdf5",
    "hdf5/10k.h5",
    "hdf5/evd_qc_tpc.h5",
    "hepmc/LHCb_MinBias_HepMC.txt.gz",
    "hepmc/Pythia_output.hepmc.gz",
    "hepmc/eposlhc_large.dat.gz",
    "hepmc/inputVertexAttributes.hepmc.gz",
    "hepmc/sk_example_PU.hepmc.gz",
    "hepmc/testHepMCExtended.input.gz",
    "hepmc/testIOGenEvent.input.gz",
    "nanoaod/NanoAODv5_sample.root",
    "nanoaod/Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root",
    "nanoaod/nano_dy.root",
    "nanoaod/nano_dy_rntuple.root",
    "nanoaod/nano_tt_v12.root",
    "nanoaod/nano_tt_v15.root",
    "nanoaod/open-data-example.root",
    "nanoaod/pfnano.root",
    "nanoaod/scouting_nano.root",
    "root/PHYSLITE_example.root",
    "root/test_FCC_Winter2023.root",
    "root/uproot-HZZ-lzma.root",
    "root/uproot-Zmumu.root",
    "root/uproot-issue513.root",
]


def round_trip(source, folder, **options):
    with open_source(source) as found:
        assert found.kind in ("root", "hdf5", "hepmc")
    return check_archive_round_trip(source, folder, effort="fast", **options)


@pytest.mark.parametrize("name", FILES)
def test_round_trip(shared_data, tmp_path, name):
    source = shared_data / "real" / name
    report = round_trip(source, tmp_path, model=Model({}))
    assert report.stored_bytes < report.source_bytes


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "nanoaod/nano_tt_v12.root", "nanoaod/NanoAODv5_sample.root",
        "root/test_FCC_Winter2023.root", "alice/uproot-issue187.root", "camels/snap_2332.1.hdf5",
        "hepmc/Pythia_output.hepmc.gz",
    ],
)  # fmt: skip
def test_round_trip_with_a_model_of_its_own(shared_data, tmp_path, name):
    source = shared_data / "real" / name
    report = round_trip(source, tmp_path)
    (tmp_path / "a.vxc").rename(tmp_path / "own.vxc")
    (tmp_path / source.name).unlink()
    plain = round_trip(source, tmp_path, model=Model({}))
    assert report.stored_bytes <= plain.stored_bytes
