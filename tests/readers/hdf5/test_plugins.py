"""Tests of filters that are no part of the HDF5 library: as the file has them, or not at all."""

import ctypes
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5z

from vortex_hep import h5

from .conftest import _c_library

#: A number of those that the HDF Group leaves to tests.
_NUMBER = 300
_PARAMETERS = 2
_DATA = np.cumsum(np.random.default_rng(8).normal(size=(60, 50)), 0)

_SET_LOCAL = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_int64] * 3)
_APPLY = ctypes.CFUNCTYPE(
    ctypes.c_size_t, ctypes.c_uint, ctypes.c_size_t, ctypes.POINTER(ctypes.c_uint),
    ctypes.c_size_t, ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_void_p),
)  # fmt: skip


class _Class(ctypes.Structure):
    """H5Z_class2_t."""

    _fields_ = (
        ("version", ctypes.c_int), ("id", ctypes.c_int),
        ("encoder", ctypes.c_uint), ("decoder", ctypes.c_uint), ("name", ctypes.c_char_p),
        ("can_apply", ctypes.c_void_p), ("set_local", _SET_LOCAL), ("filter", _APPLY),
    )  # fmt: skip


@pytest.fixture
def prefixing():
    """Register a filter that puts a parameter of its own in front of those it finds."""
    library = _c_library()
    if library is None:
        pytest.skip("the HDF5 library that h5py uses cannot be called directly")

    def set_local(properties, _type, _space):
        count = ctypes.c_size_t(8)
        values = (ctypes.c_uint * 8)()
        library.H5Pget_filter_by_id2(
            ctypes.c_int64(properties), _NUMBER, ctypes.byref(ctypes.c_uint()),
            ctypes.byref(count), values, ctypes.c_size_t(0), None, None,
        )  # fmt: skip
        longer = (ctypes.c_uint * 9)(77, *values[: count.value])
        return library.H5Pmodify_filter(
            ctypes.c_int64(properties), _NUMBER, ctypes.c_uint(0),
            ctypes.c_size_t(count.value + 1), longer,
        )  # fmt: skip

    def apply(_flags, count, values, size, _room, buffer):
        if count != _PARAMETERS or values[0] != 77:
            return 0
        data = (ctypes.c_ubyte * size).from_address(buffer[0])
        whole = np.frombuffer(data, np.uint8)
        whole ^= values[1]
        return size

    made = _Class(1, _NUMBER, 1, 1, b"prefixing", None, _SET_LOCAL(set_local), _APPLY(apply))
    h5z.register_filter(ctypes.addressof(made))
    yield
    h5z.unregister_filter(_NUMBER)


def test_parameters_are_those_of_the_file(prefixing, check, through_archive, make):
    """A filter is asked once what its parameters are, as the file is written, and never again."""

    def fill(file):
        file.create_dataset("x", data=_DATA, chunks=(10, 50), compression=_NUMBER,
                            compression_opts=(5,))  # fmt: skip

    columns, notes = check(fill)
    assert notes == []
    assert np.array_equal(columns["x"]["x"], _DATA)
    _, archive = through_archive(make(fill))
    with h5(archive) as file:
        assert np.array_equal(file["x"][()], _DATA)


def test_parameters_in_headers_with_checksums(prefixing, check):
    def fill(file):
        file.create_dataset("x", data=_DATA, chunks=(10, 50), compression=_NUMBER,
                            compression_opts=(5,), track_order=True)  # fmt: skip

    _, notes = check(fill, libver="latest")
    assert notes == []


def _options(name: str) -> dict[str, Any]:
    plugin = pytest.importorskip("hdf5plugin")
    made: dict[str, Any] = {
        "bitshuffle": lambda: plugin.Bitshuffle(),
        "bitshuffle-zstd": lambda: plugin.Bitshuffle(nelems=2048, cname="zstd"),
        "blosc": lambda: plugin.Blosc(cname="zstd", shuffle=plugin.Blosc.BITSHUFFLE),
        "blosc2": lambda: plugin.Blosc2(filters=plugin.Blosc2.DELTA),
        "bzip2": lambda: plugin.BZip2(),
        "lz4": lambda: plugin.LZ4(),
        "zstd": lambda: plugin.Zstd(),
        "zfp": lambda: plugin.Zfp(reversible=True),
    }
    return {"compression": made[name]()}


@pytest.mark.parametrize(
    "name", ["bitshuffle", "bitshuffle-zstd", "blosc", "blosc2", "bzip2", "lz4", "zstd", "zfp"]
)
def test_lossless_filters_of_hdf5plugin(check, name):
    options = _options(name)
    data = _DATA.astype(np.float32)
    columns, notes = check(
        lambda f: f.create_dataset("x", data=data, chunks=(20, 50), shuffle=True, **options)
    )
    assert notes == []
    assert np.array_equal(columns["x"]["x"], data)


@pytest.mark.parametrize("name", ["SZ", "SZ3", "Sperr", "Zfp"])
def test_filters_of_hdf5plugin_that_lose_bits(check, name):
    """What such a filter does not give back is kept as it is: the file comes back in any case."""
    plugin = pytest.importorskip("hdf5plugin")
    options = {"rate": 16} if name == "Sperr" else {"accuracy": 1e-3}
    if name.startswith("SZ"):
        options = {"absolute": 1e-3}
    made = getattr(plugin, name)(**options)
    data = _DATA.astype(np.float32)
    check(lambda f: f.create_dataset("x", data=data, chunks=(20, 50), compression=made))


def test_filter_that_gives_back_nothing(make, through_archive):
    """No columns beside chunks of which all are kept."""
    plugin = pytest.importorskip("hdf5plugin")
    data = np.random.default_rng(3).normal(size=(60, 50)).astype(np.float32)
    path = make(
        lambda f: f.create_dataset("x", data=data, chunks=(20, 50),
                                   compression=plugin.Sperr(rate=4))
    )  # fmt: skip
    with h5py.File(path) as file:
        stored = file["x"][()]
    report, archive = through_archive(path)
    assert any("do not give back the chunks that they are given" in m for m in report.messages)
    with h5(archive) as file:
        assert np.array_equal(file["x"][()], stored)
