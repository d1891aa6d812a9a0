"""Tests on files of experiments: compressed and restored, bit for bit."""

import pytest

import vortex_hep
from vortex_hep.models.model import Model
from vortex_hep.testing import check_archive_round_trip

#: Larger NanoAOD files, and whether uproot sees the same in the restored ones, are in
#: tests/readers/root; what is here and has no such comparison there is not read there again.
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
    "nanoaod/Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root",
    "nanoaod/nano_dy.root",
    "nanoaod/nano_dy_rntuple.root",
    "nanoaod/nano_tt_v12.root",
    "nanoaod/nano_tt_v15.root",
    "nanoaod/open-data-example.root",
    "nanoaod/scouting_nano.root",
    "root/PHYSLITE_example.root",
    "root/test_FCC_Winter2023.root",
    "root/uproot-HZZ-lzma.root",
    "root/uproot-Zmumu.root",
    "root/uproot-issue513.root",
]


#: Those that take more than five seconds.
SLOW = {
    "alice/AliESDs_20200201_v0.root", "nanoaod/nano_dy.root", "nanoaod/nano_tt_v12.root",
    "nanoaod/nano_tt_v15.root", "root/PHYSLITE_example.root", "root/test_FCC_Winter2023.root",
    "root/uproot-issue513.root", "hepmc/sk_example_PU.hepmc.gz",
}  # fmt: skip


def round_trip(source, folder, **options):
    report = check_archive_round_trip(source, folder, effort="fast", **options)
    with vortex_hep.open(folder / "a.vxc") as archive:
        assert archive.source["kind"] in ("root", "hdf5", "hepmc")
    return report


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in FILES]
)
def test_round_trip(shared_data, tmp_path, name):
    source = shared_data / "real" / name
    report = round_trip(source, tmp_path, model=Model({}))
    assert report.stored_bytes < report.source_bytes


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "nanoaod/nano_tt_v12.root", "root/test_FCC_Winter2023.root", "camels/snap_2332.1.hdf5",
        "hepmc/Pythia_output.hepmc.gz",
    ],
)  # fmt: skip
def test_round_trip_with_a_model_of_its_own(shared_data, tmp_path, name, short_trainings):
    source = shared_data / "real" / name
    report = round_trip(source, tmp_path)
    plain = vortex_hep.compress_file(
        source, tmp_path / "plain.vxc", model=Model({}), effort="fast", check=False
    )
    assert report.stored_bytes <= plain.stored_bytes
