"""Every dataset of many files, by archive and by h5py: equal values, types and errors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

import vortex_hep
from vortex_hep import Model, VortexError, compress_file
from vortex_hep.readers.hdf5.chunks.recordtype import parts_of
from vortex_hep.readers.hdf5.image import read_plan

_ROWS = 60
_NUMBERS = np.random.default_rng(4).integers(0, 256, _ROWS * 64, np.uint8)


def _archive(path, tmp_path):
    out = tmp_path / "archive.vxc"
    compress_file(path, out, model=Model({}), effort="fast", overwrite=True)
    return out


def _native(array):
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _same(found, right, where):
    """Assert that two arrays are the same, bit for bit but for what no value has."""
    found, right = np.asarray(found), np.asarray(right)
    assert found.shape == right.shape, where
    if right.dtype.hasobject:
        assert repr(found.tolist()) == repr(right.tolist()), where
    elif right.dtype.kind == "g" or right.dtype.itemsize == 16:
        assert np.array_equal(found, right, equal_nan=True), where
    else:
        assert found.tobytes() == right.tobytes(), where


def _result(read: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return read(), None
    except Exception as error:  # noqa: BLE001
        return None, error


def _as_h5py(archive, path):
    """Compare all datasets by the interface of h5py."""
    with h5py.File(path) as right, vortex_hep.h5(archive) as found:
        names: list[str] = []
        right.visit(names.append)
        for name in names:
            try:
                is_dataset = isinstance(right[name], h5py.Dataset)
            except (KeyError, OSError):
                continue
            if not is_dataset:
                continue
            wanted, error = _result(partial(_whole, right, name))
            got, refused = _result(partial(_whole, found, name))
            assert type(refused) is type(error), (name, refused, error)
            if error is None:
                assert found[name].dtype == right[name].dtype, name
                if not (right[name].dtype.hasobject and right[name].dtype.metadata):
                    assert type(got) is type(wanted), name
                if h5py.check_ref_dtype(right[name].dtype) is None:
                    _same(got, wanted, name)


def _whole(file, name):
    return file[name][()]


def _field(values, name):
    """Items of the part of this name, with its nested compounds."""
    for step in name.split(".") if name else ():
        if values.dtype.kind == "c":
            values = values.real if step == "r" else values.imag
        else:
            values = values[step]
    return values


def _as_branches(archive, path):
    """Compare all columns by the interface of uproot."""
    with h5py.File(path) as right, vortex_hep.open(archive) as found:
        for planned in read_plan(found.blobs()).datasets:
            lay = planned.layout
            dataset = right[lay.path]
            values, error = _result(partial(_whole, {"": dataset}, ""))
            tree = found[planned.tree]
            refused = 0
            parts = parts_of(dataset.id.get_type()) or []
            for own, part in zip(lay.parts, parts, strict=False):
                where = (planned.tree, own.name)
                got, failure = _result(functools.partial(tree[own.name].array, library="np"))
                if failure is not None:
                    assert isinstance(failure, VortexError), (where, failure)
                    assert own.name in str(failure)
                    assert own.name not in tree.arrays().fields
                    refused += 1
                    reference = error is None and _field(values, part.name).dtype.hasobject
                    assert error is not None or reference, (where, failure)
                    continue
                by_awkward = tree[own.name].array()
                if error is None:
                    _compare(got, by_awkward, _field(values, part.name), lay, where)
            assert error is None or refused, (planned.tree, error)


def _compare(got, by_awkward, right, lay, where):
    right = _native(right)
    if lay.pad is None:
        assert got.dtype == right.dtype, where
        _same(got, right.reshape(got.shape), where)
        if right.dtype.kind != "V":
            assert by_awkward.to_list() == got.tolist() or got.dtype.kind in "fcM", where
        return
    lengths = np.array([len(row) for row in got])
    inside = np.arange(right.shape[1]) < lengths[:, None]
    whole = np.concatenate([np.asarray(row) for row in got]) if len(got) else right[inside]
    assert whole.dtype == right.dtype, where
    _same(whole, right[inside], where)
    behind = right[~inside]
    assert not len(behind) or all(behind[k].tobytes() == behind[0].tobytes()
                                  for k in range(len(behind))), where  # fmt: skip


def _check(path, tmp_path):
    archive = _archive(path, tmp_path)
    _as_h5py(archive, path)
    _as_branches(archive, path)


def _integer(size, precision, offset, order, sign):
    kind = getattr(h5t, f"STD_{'I' if sign else 'U'}{8 * size}{order}").copy()
    kind.set_precision(precision)
    kind.set_offset(offset)
    return kind


def _float(size, precision, fields, bias, *, order="LE"):
    kind = getattr(h5t, f"IEEE_F{64 if size > 4 else 32}{order}").copy()
    if size > 8:
        kind.set_size(size)
        kind.set_precision(precision)
    kind.set_fields(*fields)
    kind.set_precision(precision)
    kind.set_size(size)
    kind.set_ebias(bias)
    return kind


def _string(size, padding, charset=h5t.CSET_ASCII):
    kind = h5t.C_S1.copy()
    kind.set_size(size)
    kind.set_strpad(padding)
    kind.set_cset(charset)
    return kind


def _enum(base, **names):
    kind = h5t.enum_create(base)
    for name, value in names.items():
        kind.enum_insert(name.encode(), value)
    return kind


def _opaque(size, tag):
    kind = h5t.create(h5t.OPAQUE, size)
    kind.set_tag(tag)
    return kind


def _compound(size, **fields):
    kind = h5t.create(h5t.COMPOUND, size)
    at = 0
    for name, field in fields.items():
        kind.insert(name.encode(), at, field)
        at += field.get_size()
    return kind


_ODD = {
    "i20": functools.partial(_integer, 4, 20, 0, "LE", True),
    "i20be": functools.partial(_integer, 4, 20, 0, "BE", True),
    "i12at3": functools.partial(_integer, 2, 12, 3, "LE", True),
    "i12at4be": functools.partial(_integer, 2, 12, 4, "BE", True),
    "i7": functools.partial(_integer, 1, 7, 1, "LE", True),
    "i40": functools.partial(_integer, 8, 40, 9, "LE", True),
    "u11": functools.partial(_integer, 2, 11, 5, "LE", False),
    "u33be": functools.partial(_integer, 8, 33, 0, "BE", False),
    "bfloat16": functools.partial(_float, 2, 16, (15, 7, 8, 0, 7), 127),
    "float24": functools.partial(_float, 4, 24, (23, 15, 8, 0, 15), 127),
    "float20at8": functools.partial(_float, 4, 31, (30, 23, 7, 0, 23), 63, order="BE"),
    "float48": functools.partial(_float, 8, 48, (47, 36, 11, 0, 36), 1023),
    "quad": functools.partial(_float, 16, 128, (127, 112, 15, 0, 112), 16383),
    "long_double": h5t.NATIVE_LDOUBLE.copy,
    "half_be": h5t.IEEE_F16BE.copy,
    "double_be": h5t.IEEE_F64BE.copy,
    "bits8": h5t.STD_B8LE.copy,
    "bits32be": h5t.STD_B32BE.copy,
    "terminated": functools.partial(_string, 5, h5t.STR_NULLTERM),
    "filled": functools.partial(_string, 5, h5t.STR_NULLPAD),
    "blanks": functools.partial(_string, 5, h5t.STR_SPACEPAD, h5t.CSET_UTF8),
    "one": functools.partial(_string, 1, h5t.STR_SPACEPAD),
    "enum": lambda: _enum(h5t.STD_I16BE, red=0, green=300),
    "enum9": lambda: _enum(_integer(2, 9, 2, "LE", True), red=0, green=1),
    "flag": lambda: _enum(h5t.STD_I8LE, FALSE=0, TRUE=1),
    "opaque": lambda: _opaque(6, b"of nobody"),
    "void": lambda: h5t.py_create(np.dtype("V6")),
    "date": lambda: h5t.py_create(h5py.opaque_dtype(np.dtype("<M8[ns]")), logical=True),
    "time": h5t.UNIX_D32LE.copy,
    "triple": lambda: h5t.array_create(_integer(4, 20, 0, "BE", True), (3, 2)),
    "names": lambda: h5t.array_create(_string(4, h5t.STR_SPACEPAD), (3,)),
    "fields": lambda: _compound(
        13, a=_integer(4, 20, 3, "BE", True), b=_string(5, h5t.STR_SPACEPAD),
        c=_integer(2, 9, 0, "LE", True), d=h5t.STD_U16LE,
    ),
    "nested": lambda: _compound(
        12, x=_compound(6, p=_integer(4, 31, 0, "LE", True), q=h5t.STD_I16BE),
        y=h5t.array_create(_integer(2, 9, 0, "LE", True), (3,)),
    ),
    "complex": lambda: h5t.py_create(np.dtype("c8")),
}  # fmt: skip
if hasattr(h5t, "COMPLEX_IEEE_F64BE"):
    _ODD["own_complex"] = h5t.COMPLEX_IEEE_F64BE.copy


def _raw(kind):
    """Bytes of items; of what is text, letters and blanks."""
    size = kind.get_size()
    out = np.resize(_NUMBERS, _ROWS * size)
    if kind.detect_class(h5t.STRING):
        out = np.frombuffer(b"ab  \0cd z"[:9], np.uint8)[out % 9]
    if kind.get_class() == h5t.ENUM and size == 1:
        out = out % 2
    return np.ascontiguousarray(out)


def _write(file, name, kind, *, chunk=None, filters=()):
    made = h5p.create(h5p.DATASET_CREATE)
    if chunk:
        made.set_chunk((chunk,))
        for number, values in filters:
            made.set_filter(number, 0, values)
    found = h5d.create(file.id, name.encode(), kind, h5s.create_simple((_ROWS,)), made)
    found.write(h5s.ALL, h5s.ALL, _raw(kind), mtype=kind)


@pytest.mark.parametrize("how", ["contiguous", "deflated", "nbit"])
def test_types_of_every_kind(make, tmp_path, how):
    options: dict[str, Any] = {
        "contiguous": {},
        "deflated": {"chunk": 25, "filters": ((2, ()), (1, (4,)))},
        "nbit": {"chunk": 25, "filters": ((5, ()),)},
    }[how]

    def fill(file):
        for name, kind in _ODD.items():
            try:
                _write(file.create_group(name), "x", kind(), **options)
            except (ValueError, OSError, RuntimeError):
                assert how == "nbit", name

    _check(make(fill), tmp_path)


def test_types_of_numpy(make, tmp_path):
    def fill(file):
        for order in "<>":
            for code in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c16"):
                dtype = np.dtype(order + code)
                data = np.resize(_NUMBERS, _ROWS * dtype.itemsize).view(dtype)
                file.create_dataset(f"{order}{code}", data=data, chunks=(32,), compression=3)
        file["bools"] = _NUMBERS[:_ROWS] % 2 == 0
        file["image"] = _NUMBERS[:_ROWS].reshape(5, 4, 3)
        file["strings"] = np.array([b"a", b"", b"xyz"])
        file["texts"] = ["a", "", "äö"]
        file["lists"] = np.array([1, 2, 3])
        rows = file.create_dataset("rows", (3,), h5py.vlen_dtype(np.int16))
        rows[:] = [np.arange(k, dtype=np.int16) for k in range(3)]
        references = file.create_dataset("references", (3,), h5py.ref_dtype)
        references[:] = [file["lists"].ref] * 3
        file["scalar"], file["none"] = 3.5, h5py.Empty("f4")
        file["word"] = "text"
        file.create_dataset("nothing", (0, 3), "i4")
        file.create_dataset("unwritten", (10,), "i4", fillvalue=7)
        file.create_dataset("scaled", data=np.arange(50) % 9, chunks=(20,), scaleoffset=0)

    _check(make(fill), tmp_path)


def test_lists_of_odd_fields(make, tmp_path):
    """Rows that padding fills up are lists of rows of their own length."""
    kind = _compound(
        8, a=_integer(4, 20, 0, "LE", True), b=_string(2, h5t.STR_SPACEPAD), c=h5t.STD_I16BE
    )
    raw = _raw(kind)[: 12 * 5 * 8].reshape(12, 5, 8).copy()
    for row, length in enumerate(np.arange(12) % 6):
        raw[row, length:] = 255

    def fill(file):
        space = h5s.create_simple((12, 5))
        found = h5d.create(file.id, b"tracks", kind, space)
        found.write(h5s.ALL, h5s.ALL, raw.reshape(-1), mtype=kind)

    path = make(fill)
    _check(path, tmp_path)
    with vortex_hep.open(tmp_path / "archive.vxc") as archive:
        assert archive["tracks"]["a"].array().type.content.content.primitive == "int32"


def test_types_of_all_sorts_come_back(make, there_and_back, compare_files, tmp_path):
    def fill(file):
        for name, kind in _ODD.items():
            _write(file.create_group(name), "x", kind(), chunk=25, filters=((1, (4,)),))

    path = make(fill)
    there_and_back(path, tmp_path / "exact.h5", exact=True)
    assert (tmp_path / "exact.h5").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("folder", ["real", pytest.param("generated", marks=pytest.mark.slow)])
def test_files_of_others(shared_data, tmp_path, folder):
    files = [p for p in (shared_data / folder).rglob("*.h*5") if p.suffix in (".h5", ".hdf5")]
    assert files
    for path in files:
        _check(path, tmp_path)
