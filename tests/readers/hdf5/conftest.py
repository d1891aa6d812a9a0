"""Fixtures of the HDF5 tests: making files, round trips, strict comparison."""

from __future__ import annotations

import ctypes
import pathlib
import shutil
import subprocess

import h5py
import numpy as np
import pytest
from h5py import h5a, h5d, h5l, h5o, h5s, h5t

from vortex_hep import Model, compress_file, restore, verify
from vortex_hep.readers.hdf5 import open_file
from vortex_hep.testing.conformance.readers import read_contents, restore_contents

#: Datasets of more elements are compared by their chunks as they are stored.
_LARGE = 1 << 26


class _Side:
    """One of two files, and the paths by which its objects were first met."""

    def __init__(self, path):
        self.file = h5py.File(path, "r")
        self.met = {}
        self.referred = []

    def number_of(self, found):
        return self.met.setdefault(self._key(found), len(self.met))

    def refer(self, found):
        """Note that a reference names an object; what that is is known when all were met."""
        self.referred.append(self._key(found))

    def targets(self):
        return [self.met[key] for key in self.referred]

    def _key(self, found):
        info = h5o.get_info(found)
        return info.fileno, info.addr


def _compare_files(first, second):
    """Assert that two files hold the same, down to the filters of every chunk."""
    a, b = _Side(first), _Side(second)
    with a.file, b.file:
        assert a.file.id.get_create_plist().equal(b.file.id.get_create_plist())
        assert a.file.userblock_size == b.file.userblock_size
        _compare(h5o.open(a.file.id, b"/"), h5o.open(b.file.id, b"/"), "/", a, b)
        assert a.targets() == b.targets()


def _compare(x, y, where, a, b):
    new = len(a.met)
    assert a.number_of(x) == b.number_of(y), where
    if len(a.met) == new:
        return
    assert type(x) is type(y), where
    _compare_attributes(x, y, where, a, b)
    if isinstance(x, h5t.TypeID):
        assert x.encode() == y.encode(), where
    elif isinstance(x, h5d.DatasetID):
        _compare_datasets(x, y, where, a, b)
    else:
        _compare_groups(x, y, where, a, b)


def _compare_groups(x, y, where, a, b):
    # not equal(), which also compares what the library did not set
    properties = [(p.get_link_creation_order(), p.get_attr_creation_order(),
                   p.get_attr_phase_change(), p.get_obj_track_times())
                  for p in (x.get_create_plist(), y.get_create_plist())]  # fmt: skip
    assert properties[0] == properties[1], where
    assert sorted(x) == sorted(y), where
    for name in sorted(x):
        label = f"{where}{name.decode('utf-8', 'replace')}/"
        one, two = x.links.get_info(name), y.links.get_info(name)
        assert (one.type, one.corder_valid, one.corder, one.cset) == (
            two.type, two.corder_valid, two.corder, two.cset
        ), label  # fmt: skip
        if one.type == h5l.TYPE_HARD:
            _compare(h5o.open(x, name), h5o.open(y, name), label, a, b)
        else:
            assert x.links.get_val(name) == y.links.get_val(name), label


def _compare_attributes(x, y, where, a, b):
    assert h5a.get_num_attrs(x) == h5a.get_num_attrs(y), where
    for number in range(h5a.get_num_attrs(x)):
        one, two = h5a.open(x, index=number), h5a.open(y, index=number)
        assert one.name == two.name, where
        _compare_values(one, two, f"{where}@{one.name!r}", a, b)


def _compare_datasets(x, y, where, a, b):
    properties = x.get_create_plist()
    assert _creation(x) == _creation(y), where
    if properties.get_layout() == h5d.CHUNKED:
        chunks = []
        for found in (x, y):
            infos: list[object] = []
            found.chunk_iter(infos.append)
            chunks.append(sorted((i.chunk_offset, i.filter_mask) for i in infos))  # type: ignore[attr-defined]
        assert chunks[0] == chunks[1], where
    if properties.get_layout() == h5d.VIRTUAL or properties.get_external_count():
        return
    if not properties.all_filters_avail() or x.get_space().get_simple_extent_npoints() > _LARGE:
        for start, _ in chunks[0]:
            assert x.read_direct_chunk(start) == y.read_direct_chunk(start), where
        return
    _compare_values(x, y, where, a, b)


def _creation(dataset):
    """Creation properties one by one: equal() also compares pointers and what is not set."""
    properties = dataset.get_create_plist()
    fill = None
    defined = properties.fill_value_defined()
    if defined == h5d.FILL_VALUE_USER_DEFINED and not _elsewhere(dataset.get_type()):
        value = np.zeros(1, dataset.dtype)
        properties.get_fill_value(value)
        fill = value.tobytes()
    layout = properties.get_layout()
    return (
        layout, properties.get_chunk() if layout == h5d.CHUNKED else None,
        [properties.get_filter(k) for k in range(properties.get_nfilters())],
        [properties.get_external(k) for k in range(properties.get_external_count())],
        [(properties.get_virtual_filename(k), properties.get_virtual_dsetname(k))
         for k in range(properties.get_virtual_count() if layout == h5d.VIRTUAL else 0)],
        defined, fill, properties.get_fill_time(), properties.get_alloc_time(),
        properties.get_attr_creation_order(), properties.get_attr_phase_change(),
        properties.get_obj_track_times(),
    )  # fmt: skip


def _compare_values(x, y, where, a, b):
    one, two = x.get_type(), y.get_type()
    assert one.encode() == two.encode(), where
    spaces = x.get_space(), y.get_space()
    kind = spaces[0].get_simple_extent_type()
    assert kind == spaces[1].get_simple_extent_type(), where
    if kind == h5s.NULL:
        return
    if kind == h5s.SIMPLE:
        for maximum in (False, True):
            assert spaces[0].get_simple_extent_dims(maximum) == spaces[1].get_simple_extent_dims(
                maximum
            ), where
    count = spaces[0].get_simple_extent_npoints()
    if not count:
        return
    if not _elsewhere(one):
        raw = [np.full(count * one.get_size(), 0xA5, np.uint8) for _ in "ab"]
        for found, out in zip((x, y), raw, strict=True):
            if isinstance(found, h5d.DatasetID):
                found.read(h5s.ALL, h5s.ALL, out, mtype=one)
            else:
                found.read(out, mtype=one)
        assert np.array_equal(raw[0], raw[1]), where
        return
    values: list[object] = []
    for found, side in ((x, a), (y, b)):
        shape = found.shape
        out = np.empty(shape, found.dtype)
        if isinstance(found, h5d.DatasetID):
            found.read(h5s.ALL, h5s.ALL, out)
        else:
            found.read(out)
        values.append(_plain(out, side))
    assert values[0] == values[1], where


def _elsewhere(type_id):
    """Whether something of an element is not in its own bytes."""
    kind = type_id.get_class()
    if kind == h5t.COMPOUND:
        return any(_elsewhere(type_id.get_member_type(k)) for k in range(type_id.get_nmembers()))
    if kind == h5t.ARRAY:
        return _elsewhere(type_id.get_super())
    if kind == h5t.STRING:
        return type_id.is_variable_str()
    return kind in (h5t.VLEN, h5t.REFERENCE)


def _plain(value, side):
    """Value without objects of h5py: what references name is noted."""
    if isinstance(value, h5py.h5r.Reference):
        if not value:
            return "null"
        target = h5py.h5r.dereference(value, side.file.id)
        region = None
        if isinstance(value, h5py.h5r.RegionReference):
            region = h5py.h5r.get_region(value, side.file.id).encode().hex()
        side.refer(target)
        return type(target).__name__, region
    if isinstance(value, np.ndarray):
        if not value.dtype.hasobject:
            return value.shape, value.tobytes()
        return value.shape, [_plain(v, side) for v in value.reshape(-1)]
    if isinstance(value, np.void) and value.dtype.names:
        return [_plain(value[n], side) for n in value.dtype.names]
    if isinstance(value, np.generic):
        return value.tobytes()
    return value


def _h5diff(first, second):
    """Ask the HDF Group's own tool; it knows nothing of links and layouts, but is not ours."""
    tool = shutil.which("h5diff")
    if tool is None:
        return
    run = subprocess.run(
        [tool, "--use-system-epsilon", str(first), str(second)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    # 2 says that the tool itself failed, as old ones do on new files
    assert run.returncode != 1, run.stdout + run.stderr


def _read(source, target=1 << 14):
    """Blobs, ranges and clusters of a source, by the names of trees that users know."""
    contents = read_contents(source, target=target)
    return contents.blobs, contents.ranges, contents.clusters


def _there_and_back(path, out, *, exact=False, target=1 << 14, trees=None):
    """Read a file, restore it from what was read, and give blobs, clusters and notes."""
    with open_file(path, trees=trees, exact=exact) as source:
        contents = read_contents(source, target=target, exact=exact)
    restore_contents(contents, out)
    return contents.blobs, contents.clusters, contents.notes


@pytest.fixture
def compare_files():
    """Function that asserts that two files hold the same."""
    return _compare_files


@pytest.fixture
def read():
    """Function that gives blobs, ranges and clusters of a source."""
    return _read


@pytest.fixture
def there_and_back():
    """Function that reads and restores a file, without an archive between."""
    return _there_and_back


@pytest.fixture
def make(tmp_path):
    """Function that makes a file by a function of the open file."""

    def run(fill, name="in.h5", **options):
        path = tmp_path / name
        with h5py.File(path, "w", **options) as file:
            fill(file)
        return path

    return run


@pytest.fixture
def check(tmp_path, make):
    """Function that makes a file and asserts that it comes back, also byte for byte.

    Returns columns by tree and name of both, and notes.
    """

    def run(fill, *, target=1 << 14, **options):
        path, out = make(fill, **options), tmp_path / "out.h5"
        _, clusters, notes = _there_and_back(path, out, target=target)
        _compare_files(path, out)
        _there_and_back(path, tmp_path / "exact.h5", exact=True, target=target)
        assert (tmp_path / "exact.h5").read_bytes() == path.read_bytes()
        return _columns(clusters), notes

    return run


def _columns(clusters):
    """Columns of all clusters, joined; where lists have their own lengths also ``@lengths``."""
    parts: dict[str, dict[str, list[np.ndarray]]] = {}
    for (tree, *_), cluster in clusters.items():
        for table in cluster.values():
            columns = parts.setdefault(tree, {})
            columns.setdefault("@lengths", []).append(np.diff(table.offsets))
            for name, column in table.columns.items():
                columns.setdefault(name, []).append(column)
    return {t: {n: np.concatenate(p) for n, p in found.items()} for t, found in parts.items()}


@pytest.fixture
def through_archive(tmp_path):
    """Function that takes a file through an archive, and compares it in every way there is."""

    def run(path, out=tmp_path / "restored.h5"):
        archive = tmp_path / "archive.vxc"
        report = compress_file(path, archive, model=Model({}), effort="fast", overwrite=True)
        found = verify(archive, against=path)
        assert found.ok, found.differences
        restore(archive, out, overwrite=True)
        _compare_files(path, out)
        _h5diff(path, out)
        return report, archive

    return run


@pytest.fixture
def unfiltered_edges():
    """Function that makes creation properties leave chunks at the edge without filters."""
    library = _c_library()
    if library is None:
        pytest.skip("the HDF5 library that h5py uses cannot be called directly")

    def run(properties):
        assert library.H5Pset_chunk_opts(ctypes.c_int64(properties.id), ctypes.c_uint(2)) >= 0

    return run


def _c_library():
    """The HDF5 library that h5py has loaded, for what h5py does not offer."""
    maps = pathlib.Path("/proc/self/maps")
    if not maps.exists():
        return None
    paths = {line.split()[-1] for line in maps.read_text().splitlines() if "libhdf5" in line}
    for path in sorted(p for p in paths if "libhdf5_hl" not in p):
        return ctypes.CDLL(path)
    return None
