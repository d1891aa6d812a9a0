"""Tests on files of other programs: restored byte for byte, all of them typed."""

import gzip

import pytest

FILES = {
    "real/hepmc/LHCb_MinBias_HepMC.txt.gz": 27,
    "real/hepmc/Pythia_output.hepmc.gz": 9,
    "real/hepmc/eposlhc_large.dat.gz": 1,
    "real/hepmc/inputVertexAttributes.hepmc.gz": 1,
    "real/hepmc/sk_example_PU.hepmc.gz": 100,
    "real/hepmc/testHepMCExtended.input.gz": 37,
    "real/hepmc/testIOGenEvent.input.gz": 34,
    "generated/hepmc/dijet.hepmc2.gz": 30,
    "generated/hepmc/ttbar_test.hepmc3.gz": 30,
    "generated/hepmc/zmumu.hepmc3.gz": 40,
}


@pytest.mark.parametrize("name", FILES)
def test_real_file(shared_data, tmp_path, there_and_back, name):
    path, out = shared_data / name, tmp_path / "out.gz"
    notes, clusters = there_and_back(path, out, target=1 << 20)
    assert notes == []
    assert sum(len(c[""].offsets) - 1 for c in clusters) == FILES[name]
    assert sum(len(c["odd"].columns["odd_text"].content) for c in clusters) == 0
    assert sum(len(c["literal"].columns["literal_text"].content) for c in clusters) < 200
    assert gzip.decompress(out.read_bytes()) == gzip.decompress(path.read_bytes())
