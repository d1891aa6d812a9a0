"""Tests of elements of every type, restored bit for bit."""

import h5py
import numpy as np
import pytest
from h5py import h5d, h5s, h5t

ORDERS = ("<", ">")
NUMBERS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
#: Quiet and signalling NaNs with payloads, infinities, -0.0 and a denormal, as float32.
ODD_FLOATS = np.array(
    [0x7FC00001, 0xFFC12345, 0x80000000, 0x00000001, 0x7F800000, 0xFF800000, 0x7FA00001], np.uint32
)


@pytest.mark.parametrize("order", ORDERS)
def test_numbers(check, order):
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 256, (53, 8), np.uint8)

    def fill(file):
        for name in NUMBERS:
            dtype = np.dtype(order + name)
            file[name] = np.ascontiguousarray(bits[:, : dtype.itemsize]).view(dtype).reshape(-1)

    columns, notes = check(fill)
    assert notes == []
    assert list(columns) == ["/"]
    for name in NUMBERS:
        dtype = np.dtype(order + name)
        bare = np.ascontiguousarray(bits[:, : dtype.itemsize]).view(dtype).reshape(-1)
        assert columns["/"][name].tobytes() == bare.byteswap().tobytes() if order == ">" else True
        assert columns["/"][name].dtype == np.dtype("<" + name)


@pytest.mark.parametrize("filters", [{}, {"compression": "gzip", "shuffle": True}])
def test_odd_floats(check, filters):
    data = np.resize(ODD_FLOATS, 100).view(np.float32)
    columns, _ = check(lambda f: f.create_dataset("x", data=data, chunks=(33,), **filters))
    assert columns["x"]["x"].tobytes() == data.tobytes()
    half = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    columns, _ = check(lambda f: f.create_dataset("x", data=half, chunks=(999,), **filters))
    assert columns["x"]["x"].tobytes() == half.tobytes()


def test_booleans_and_enumerations(check):
    colours = h5py.enum_dtype({"red": 0, "green": 1, "blue": 42}, np.int16)

    def fill(file):
        file["flag"] = np.arange(40) % 3 == 0
        file.create_dataset("colour", data=np.resize([0, 1, 42, 7], 40), dtype=colours)
        # a boolean that is neither: the byte must survive
        wrong = h5d.create(
            file.id, b"wrong", h5t.py_create(np.bool_, logical=True), h5s.create_simple((3,))
        )
        wrong.write(h5s.ALL, h5s.ALL, np.array([0, 1, 7], np.uint8), mtype=wrong.get_type())

    columns, _ = check(fill)
    assert columns["/"]["flag"].dtype == np.bool_
    assert columns["/"]["colour"].tolist() == [0, 1, 42, 7] * 10
    assert columns["wrong"]["wrong"].view(np.uint8).tolist() == [0, 1, 7]


def test_compound(check):
    inner = np.dtype([("x", "<f4"), ("y", ">i2")])
    dtype = np.dtype([("id", "<u4"), ("p", inner), ("a", "<f2", (2, 3)), ("m", inner, (2,))])
    data = np.zeros(77, dtype)
    data["id"] = np.arange(77)
    data["p"]["y"] = -np.arange(77)
    data["a"] = np.arange(77 * 6).reshape(77, 2, 3)
    data["m"]["x"] = np.arange(154).reshape(77, 2)
    columns, _ = check(lambda f: f.create_dataset("c", data=data, chunks=(10,), compression=4))
    found = columns["c"]
    assert list(found) == ["@lengths", "id", "p.x", "p.y", "a", "m.x", "m.y"]
    assert found["p.y"].tolist() == (-np.arange(77)).tolist()
    assert np.array_equal(found["a"], data["a"])
    assert np.array_equal(found["m.x"], data["m"]["x"])


def test_fields_of_one_name(check):
    plain = np.dtype([("y", "<i1"), ("y#2", "<i1")])
    dtype = np.dtype([("x.y", "<i1"), ("x", plain), ("@pad0", "<i1"), ("x.y#2", "<i1")])
    data = np.arange(50, dtype=np.int8).view(dtype)
    columns, _ = check(lambda f: f.create_dataset("c", data=data))
    stacked = np.stack([c for n, c in columns["c"].items() if n != "@lengths"], 1)
    assert stacked.tolist() == np.arange(50).reshape(10, 5).tolist()


@pytest.mark.parametrize("junk", [False, True])
def test_padding_of_compound(check, junk):
    dtype = np.dtype([("a", "i1"), ("b", "f8"), ("c", "i2"), ("@pad0", "i1")], align=True)
    data = np.zeros(60, dtype)
    if junk:
        data.view(np.uint8)[:] = np.arange(60 * dtype.itemsize, dtype=np.uint8)

    def fill(file):
        memory = h5t.py_create(dtype)
        assert memory.get_size() == 24
        found = h5d.create(file.id, b"p", memory, h5s.create_simple((60,)))
        # as bytes, for numpy would not copy what is between the fields
        opaque = data.view(np.uint8)
        found.write(h5s.ALL, h5s.ALL, opaque, mtype=memory)

    columns, notes = check(fill)
    assert notes == []
    extra = [n for n in columns["p"] if n.startswith("@pad")]
    assert len(extra) == (3 if junk else 1)


def test_padding_that_comes_late(check):
    """Padding that is zero in the rows looked at first, and not in some chunk behind."""
    dtype = np.dtype([("a", "i1"), ("b", "f8")], align=True)
    data = np.zeros(200_000, dtype)
    data["b"] = np.arange(len(data))
    data.view(np.uint8)[-3 * 16 + 5] = 9

    def fill(file):
        memory = h5t.py_create(dtype)
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((50_000,))
        found = h5d.create(file.id, b"p", memory, h5s.create_simple((len(data),)), made)
        found.write(h5s.ALL, h5s.ALL, data.view(np.uint8), mtype=memory)

    columns, notes = check(fill, target=1 << 20)
    assert list(columns["p"]) == ["@lengths", "a", "b"]
    assert len(notes) == 1
    assert "p: 1 of 4 chunks do not come back from columns" in notes[0]


def test_strings(check):
    def fill(file):
        file["fixed"] = np.array([b"a", b"bc\0d", b"", b"\xff\xfe"], "S7")
        file.create_dataset(
            "utf8", data=["\u00e4".encode(), b"x"], dtype=h5py.string_dtype("utf-8", 5)
        )
        file.create_dataset("variable", data=["one", "", "\u20ac"], dtype=h5py.string_dtype())
        file["scalar"] = "text"
        file.create_dataset("packed", data=["x" * 50] * 99, chunks=(7,), compression="gzip")
        padded = h5t.C_S1.copy()
        padded.set_size(4)
        padded.set_strpad(h5t.STR_SPACEPAD)
        found = h5d.create(file.id, b"spaces", padded, h5s.create_simple((2,)))
        found.write(h5s.ALL, h5s.ALL, np.frombuffer(b"a   bcd ", np.uint8), mtype=padded)

    columns, notes = check(fill)
    assert notes == []
    assert columns["fixed"]["fixed"].tobytes() == b"a\0\0\0\0\0\0bc\0d\0\0\0" + bytes(
        7
    ) + b"\xff\xfe" + bytes(5)
    assert columns["/"]["spaces"].tobytes() == b"a   bcd "
    assert "variable" not in {n for tree in columns.values() for n in tree}


def test_references_and_lists(check):
    def fill(file):
        file["x"] = np.arange(20.0).reshape(4, 5)
        group = file.create_group("g")
        file["objects"] = np.array([file["x"].ref, group.ref, file.ref], h5py.ref_dtype)
        regions = file.create_dataset("regions", (2,), h5py.regionref_dtype)
        regions[0] = file["x"].regionref[1:3, ::2]
        lists = file.create_dataset("lists", (3,), h5py.vlen_dtype(np.int32))
        lists[0], lists[2] = [1, 2, 3], [4]
        nested = np.dtype([("n", "i4"), ("s", h5py.string_dtype()), ("r", h5py.ref_dtype)])
        file.create_dataset("mixed", (2,), nested)
        file["mixed"][0] = (1, "abc", file["x"].ref)
        for name in ("objects", "x"):
            file[name].attrs["lists"] = file["lists"][...]
            file[name].attrs["ref"] = group.ref
            file[name].attrs["region"] = file["x"].regionref[0, :]

    check(fill)


def test_opaque_and_bitfields(check):
    stamps = np.arange(30).astype("datetime64[us]")

    def fill(file):
        file["raw"] = np.array([b"\0\1\2\3\4"] * 6, "V5")
        file["time"] = stamps.astype(h5py.opaque_dtype(stamps.dtype))
        for size in (1, 2, 4, 8):
            kind = getattr(h5t, f"STD_B{8 * size}{'BE' if size == 4 else 'LE'}")
            found = h5d.create(file.id, f"b{size}".encode(), kind, h5s.create_simple((9,)))
            data = np.arange(9 * size, dtype=np.uint8)
            found.write(h5s.ALL, h5s.ALL, data, mtype=kind)

    columns, _ = check(fill)
    assert columns["time"]["time"].shape == (30, 8)
    assert columns["/"]["b2"].tolist() == [256 * (2 * k + 1) + 2 * k for k in range(9)]
    assert columns["/"]["b4"][0] == 0x00010203


def test_numbers_of_odd_formats(check):
    """Fewer bits than bytes, sizes of no dtype, floats of other formats: bits are kept."""

    def fill(file):
        short = h5t.STD_I32LE.copy()
        short.set_precision(20)
        short.set_offset(3)
        three = h5t.STD_U32BE.copy()
        three.set_size(3)
        brain = h5t.IEEE_F32LE.copy()
        brain.set_fields(15, 7, 8, 0, 7)
        brain.set_size(2)
        for name, kind in (("short", short), ("three", three), ("brain", brain),
                           ("long", h5t.NATIVE_LDOUBLE)):  # fmt: skip
            size = kind.get_size()
            made = h5d.create(file.id, name.encode(), kind, h5s.create_simple((11,)))
            data = np.arange(11 * size, dtype=np.uint8)
            made.write(h5s.ALL, h5s.ALL, data, mtype=kind)

    columns, notes = check(fill)
    found = columns["/"]
    assert notes == []
    assert found["brain"].dtype == np.uint16
    assert found["three"].shape == (11, 3)
    assert found["short"].dtype == np.int32


def test_complex(check):
    data = (np.arange(14) + 1j * np.arange(14)[::-1]).reshape(7, 2)

    def fill(file):
        file["c8"] = data.astype(np.complex64)
        file["c16"] = data
        if hasattr(h5t, "COMPLEX_IEEE_F32LE"):
            kind = h5t.COMPLEX_IEEE_F32LE
            made = h5d.create(file.id, b"native", kind, h5s.create_simple((7,)))
            made.write(h5s.ALL, h5s.ALL, data[:, 0].astype(np.complex64), mtype=kind)

    columns, _ = check(fill)
    assert columns["/"]["c16.r"].tolist() == data.real.tolist()
    assert columns["/"]["c8.i"].tolist() == data.imag.tolist()


def test_arrays_as_elements(check):
    def fill(file):
        kind = h5t.array_create(h5t.array_create(h5t.STD_I16BE, (2,)), (3,))
        made = h5d.create(file.id, b"a", kind, h5s.create_simple((5,)))
        made.write(h5s.ALL, h5s.ALL, np.arange(60, dtype=np.uint8), mtype=kind)

    columns, _ = check(fill)
    assert columns["a"]["a"].shape == (5, 3, 2)
    assert columns["a"]["a"][0, 0, 1] == 0x0203


def test_committed_types(check):
    def fill(file):
        file["type"] = np.dtype([("a", "<f4"), ("b", ">i4")])
        kind = file["type"]
        file.create_dataset("x", (20,), kind, chunks=(7,), compression="lzf")
        file.create_dataset("y", (20,), kind, chunks=(7,), fillvalue=np.array((2, 3), kind.dtype))
        file["y"][3:9] = np.array((1, 2), kind.dtype)
        file["x"][:] = np.array((1, 2), kind.dtype)
        file.attrs.create("of", (1, 2), dtype=kind)
        file["type"].attrs["note"] = "a type has attributes too"

    columns, notes = check(fill)
    assert notes == []
    assert columns["y"]["b"].tolist() == [3, 3, 3, *[2] * 6, *[3] * 11]
