"""Tests of archives opened as HDF5 files: groups, attributes, links, real and remote files."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle

import h5py
import numpy as np
import pytest

import vortex_hep
from tests.waiting import PATIENCE
from vortex_hep.errors import CorruptionError, MissingError, UnsupportedTypeError

#: Of each dataset at most so many rows.
FILES = {
    "real/hdf5/10k.h5": None, "real/hdf5/evd_qc_tpc.h5": None, "real/camels/snap_2332.1.hdf5": None,
    "real/camels/snap_2332.5.hdf5": None, "generated/camels/snap_test.hdf5": 5000,
    "generated/camels/snap_train.hdf5": 1000, "generated/camels/snap_f64dm.hdf5": 5000,
    "generated/ftag/mc-flavtag-ttbar-like.h5": 900,
}  # fmt: skip


def shortened(source, path, rows):
    """Copy a file with fewer rows, but all else that it has."""
    with h5py.File(source) as old, h5py.File(path, "w") as new:

        def copy(name, item):
            if isinstance(item, h5py.Group):
                made = new.require_group(name)
            else:
                data = item[:rows] if item.shape else item[()]
                options = {"compression": item.compression, "shuffle": item.shuffle}
                made = new.create_dataset(name, data=data, **options if item.chunks else {})
            for key in item.attrs:
                made.attrs.create(key, item.attrs[key], dtype=item.attrs.get_id(key).dtype)

        old.visititems(copy)
    return path


def attributes(item):
    return {key: item.attrs[key] for key in item.attrs}


@pytest.mark.parametrize("name", FILES)
def test_real_file(shared_data, tmp_path, make_archive, same, name):
    path = shared_data / name
    if FILES[name] is not None:
        path = shortened(path, tmp_path / "short.h5", FILES[name])
    archive = make_archive(path, tmp_path / "a.vxc", cluster_bytes=1 << 20)
    with h5py.File(path) as f, vortex_hep.h5(archive) as g:
        expected, found = {"": f}, {"": g}
        f.visititems(expected.__setitem__)
        g.visititems(found.__setitem__)
        assert list(expected) == list(found)
        for key, x in expected.items():
            y = found[key]
            same(attributes(x), attributes(y), key)
            if isinstance(x, h5py.Group):
                assert list(x) == list(y)
                continue
            assert (x.dtype, x.shape, x.chunks, x.compression, x.maxshape) == (
                y.dtype, y.shape, y.chunks, y.compression, y.maxshape
            )  # fmt: skip
            same(x[()], y[()], key)
            if x.shape and len(x):
                n = len(x)
                for index in (slice(n // 3, n // 2), n // 2, [0], slice(None, None, 7)):
                    same(x[index], y[index], key)
                for field in x.dtype.names or ():
                    same(x.fields(field)[n // 4 :], y.fields(field)[n // 4 :], key)


def test_groups_and_names(pair):
    f, g = pair
    assert isinstance(g, h5py.File)
    assert isinstance(g["bookkeeper"], h5py.Group)
    assert isinstance(g["jets"], h5py.Dataset)
    assert list(g.keys()) == list(f.keys())
    assert [v.name for v in g.values()] == [v.name for v in f.values()]
    assert {k: v[()].shape for k, v in g["bookkeeper"].items()} == {"counts": (1,)}
    assert "jets" in g
    assert "bookkeeper/counts" in g
    assert "jet" not in g
    assert len(g) == 3
    assert g["bookkeeper/counts"].parent == g["bookkeeper"]
    assert g["bookkeeper"].parent.file is g
    assert g["/bookkeeper"]["counts"][0]["f0"] == 7
    assert g.get("jet") is None
    assert g.get("jets")["pt", 0] == f["jets"][0]["pt"]
    assert g.get("jets", getclass=True) is h5py.Dataset
    assert isinstance(g.get("jets", getlink=True), h5py.HardLink)
    assert g.attrs["tag"] == "p5627"
    assert g.mode == "r"
    assert g.filename.endswith("jets.vxc")
    with pytest.raises(KeyError, match="jet"):
        g["jet"]
    with pytest.raises(ValueError, match="no write intent"):
        g.create_group("more")


def test_a_closed_file_gives_nothing(flavtag):
    g = vortex_hep.h5(flavtag / "jets.vxc")
    jets = g["jets"]
    jets[:3]
    g.close()
    g.close()
    assert not bool(g.id)
    assert "Closed" in repr(g)
    with pytest.raises((OSError, RuntimeError, ValueError)):
        jets[:3]


class JetLoader:
    """How training programs of flavour tagging read: batches of rows, of some fields of each."""

    def __init__(self, open_file, variables, batch):
        self.file = open_file
        self.variables, self.batch = variables, batch
        self.labels = list(self.file["jets"].attrs["flavour_label"])
        self.buffers = {
            name: np.empty(0, [(v, self.file[name].dtype[v]) for v in wanted])
            for name, wanted in variables.items()
        }

    def __len__(self):
        return -(-len(self.file["jets"]) // self.batch)

    def __getitem__(self, number):
        rows = slice(number * self.batch, min((number + 1) * self.batch, len(self.file["jets"])))
        out = {}
        for name, buffer in self.buffers.items():
            dataset = self.file[name]
            buffer.resize((rows.stop - rows.start, *dataset.shape[1:]), refcheck=False)
            dataset.read_direct(buffer, rows)
            out[name] = np.array(buffer)
            assert out[name].tobytes() == dataset.fields(self.variables[name])[rows].tobytes()
        out["valid"] = self.file["tracks"][rows]["valid"]
        return out


def test_a_training_loader_written_for_h5py(pair):
    variables = {"jets": ["pt", "flavour"], "tracks": ["d0", "hits"]}
    theirs, ours = (JetLoader(file, variables, 700) for file in pair)
    assert theirs.labels == ours.labels
    assert len(theirs) == len(ours) == 5
    for k in range(5):
        a, b = theirs[k], ours[k]
        assert {n: v.tobytes() for n, v in a.items()} == {n: v.tobytes() for n, v in b.items()}


def _read(file, queue):
    queue.put(file["jets"]["pt", 2500:2503].tolist())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_have_an_archive_of_their_own(flavtag, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    with vortex_hep.h5(flavtag / "jets.vxc") as g:
        expected = g["jets"]["pt", 2500:2503].tolist()
        process = context.Process(target=_read, args=(g, queue))
        process.start()
        assert queue.get() == expected
        process.join(PATIENCE)
        assert process.exitcode == 0
        again = pickle.loads(pickle.dumps(g["tracks"]))
        assert again[7].tobytes() == g["tracks"][7].tobytes()
        again.file.close()


@pytest.mark.network
def test_over_the_network(flavtag, xrootd, pair, same):
    (xrootd.root / "jets.vxc").write_bytes((flavtag / "jets.vxc").read_bytes())
    f, _ = pair
    with vortex_hep.h5(xrootd.url("data/jets.vxc")) as g:
        same(f["tracks"][200:300], g["tracks"][200:300])


def test_archives_of_other_files_are_refused(tmp_path, example_file, make_archive):
    path = make_archive(example_file, tmp_path / "a.vxc", cluster_bytes=1 << 20)
    with pytest.raises(UnsupportedTypeError, match=r"a.vxc: .*'root'.*vortex_hep.open"):
        vortex_hep.h5(path)
    with pytest.raises(MissingError, match="nowhere"):
        vortex_hep.h5(tmp_path / "nowhere.vxc")


@contextlib.contextmanager
def noted(kind):
    """List of the errors of a kind that end the block."""
    caught: list[str] = []
    try:
        yield caught
    except kind as error:
        caught.append(str(error))


def test_damage_is_an_error_and_never_data(flavtag, tmp_path):
    data = bytearray((flavtag / "jets.vxc").read_bytes())
    path = tmp_path / "bad.vxc"
    expected = None
    with h5py.File(flavtag / "jets.h5") as f:
        expected = f["tracks"][()].tobytes()
    raised = 0
    for at in range(200, len(data) - 200, len(data) // 25):
        data[at] ^= 255
        path.write_bytes(data)
        data[at] ^= 255
        with contextlib.ExitStack() as stack:
            caught = stack.enter_context(noted(CorruptionError))
            g = stack.enter_context(vortex_hep.h5(path))
            assert g["tracks"][()].tobytes() == expected
        raised += len(caught)
        assert all("bad.vxc" in text for text in caught)
    assert raised
