"""Tests of ``vortex-hep example``."""

import uproot

from vortex_hep.cli import main


def test_writes_the_events_asked_for(tmp_path, capsys):
    path = tmp_path / "x.root"
    assert main(["example", str(path), "--events", "20", "--seed", "3"]) == 0
    assert capsys.readouterr().out == f"{path}: 20 events, seed 3\n"
    with uproot.open(path) as file:
        assert file["Events"].num_entries == 20
    assert list(tmp_path.iterdir()) == [path]


def test_overwrite(tmp_path):
    path = tmp_path / "x.root"
    assert main(["example", str(path), "--events", "5", "--quiet"]) == 0
    assert main(["example", str(path), "--events", "6", "--quiet"]) == 1
    assert main(["example", str(path), "--events", "6", "--quiet", "--overwrite"]) == 0
    with uproot.open(path) as file:
        assert file["Events"].num_entries == 6
