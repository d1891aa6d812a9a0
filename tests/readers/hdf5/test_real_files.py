"""Tests on files of other programs: restored, and nearly all bytes are columns."""

import pytest

#: Rows and columns of every tree.
FILES = {
    "real/hdf5/10k.h5": {"packets": (12201, 22)},
    "real/hdf5/evd_qc_tpc.h5": {"events": (324, 12), "hits": (10743, 11), "tracks": (433, 17)},
    "real/camels/snap_2332.5.hdf5": {
        "PartType0": (7991, 22), "PartType1": (8814, 4), "PartType3": (8333, 2),
        "PartType4": (130, 13), "PartType5": (5, 20),
    },
    "real/camels/snap_2332.1.hdf5": {
        "PartType0": (829, 22), "PartType1": (834, 4), "PartType3": (846, 2),
    },
    "generated/camels/snap_test.hdf5": {
        "PartType0": (63832, 15), "PartType1": (64000, 7), "PartType4": (168, 7),
    },
    "generated/camels/snap_f64dm.hdf5": {"PartType1": (110592, 4)},
    "generated/ftag/mc-flavtag-ttbar-like.h5": {
        "cutBookkeeper/nominal/counts": (1, 3), "jets": (29357, 87), "tracks": (29357, 37),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_real_file(shared_data, tmp_path, there_and_back, compare_files, name):
    path, out = shared_data / name, tmp_path / "out.h5"
    blobs, clusters, notes = there_and_back(path, out, exact=True, target=1 << 22)
    assert notes == []
    found: dict[str, tuple[int, int]] = {}
    for (tree, _, stop), cluster in clusters.items():
        columns = sum(len(table.columns) for table in cluster.values())
        found[tree] = (max(stop, found.get(tree, (0, 0))[0]), columns)
    assert found == FILES[name]
    left = sum(len(blob) for key, blob in blobs.items() if key.startswith("hdf5/skeleton"))
    assert left < 0.2 * path.stat().st_size
    assert out.read_bytes() == path.read_bytes()
    compare_files(path, out)


@pytest.mark.parametrize("name", [n for n in FILES if n.startswith("real")])
def test_through_an_archive(shared_data, through_archive, name):
    report, _ = through_archive(shared_data / name)
    assert report.stored_bytes < 0.7 * (shared_data / name).stat().st_size
