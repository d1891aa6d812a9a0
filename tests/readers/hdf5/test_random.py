"""Tests of files with random types, shapes, chunks and filters."""

import h5py
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

SIMPLE = ["<f2", ">f4", "<f8", "i1", ">u2", "<i4", ">i8", "?", "S1", "S5", "V3"]


@st.composite
def dtypes(draw, depth=2):
    """A dtype of numpy that HDF5 can hold, compounds and arrays too."""
    kind = draw(st.integers(0, 5 if depth else 3))
    if kind <= 3:
        return np.dtype(draw(st.sampled_from(SIMPLE)))
    if kind == 4:
        inner = draw(dtypes(depth=depth - 1))
        shape = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)))
        return np.dtype([("a", inner, shape)])
    fields = draw(st.lists(dtypes(depth=depth - 1), min_size=1, max_size=4))
    named = [(f"f{k}", one) for k, one in enumerate(fields)]
    return np.dtype(named, align=draw(st.booleans()))


@st.composite
def datasets(draw):
    """What ``create_dataset`` is to be given, and the bytes of the data."""
    dtype = draw(dtypes())
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    options: dict[str, object] = {"shape": shape, "dtype": dtype}
    if draw(st.booleans()):
        options["chunks"] = tuple(draw(st.integers(1, 6)) for _ in shape)
        options["maxshape"] = tuple(draw(st.sampled_from([n, None, n + 5])) for n in shape)
        options |= draw(
            st.sampled_from(
                [{}, {"compression": 1}, {"compression": 9, "shuffle": True}, {"fletcher32": True},
                 {"compression": "lzf"}, {"shuffle": True, "fletcher32": True, "compression": 4}]
            )
        )  # fmt: skip
        maximum = options["maxshape"]
        if any(m is not None and m < c for m, c in zip(maximum, options["chunks"], strict=True)):  # type: ignore[call-overload]
            options["maxshape"] = tuple(None for _ in shape)
    # few values, so that some elements are alike, as padding is
    values = draw(st.integers(1, 4))
    seed = draw(st.integers(0, 1000))
    written = draw(st.sampled_from([1.0, 0.5, 0.0]))
    return options, values, seed, written


def _write(file, name, drawn):
    options, values, seed, written = drawn
    made = file.create_dataset(name, **options)
    rng = np.random.default_rng(seed)
    shape, dtype = made.shape, np.dtype(options["dtype"])
    elements = rng.integers(0, 256, (values, dtype.itemsize), np.uint8)
    picked = elements[rng.integers(0, values, shape)]
    rows = int(written * shape[0])
    if rows:
        space = made.id.get_space()
        space.select_hyperslab((0,) * len(shape), (rows, *shape[1:]))
        memory = h5py.h5s.create_simple((rows, *shape[1:]))
        data = np.ascontiguousarray(picked[:rows]).reshape(-1)
        made.id.write(memory, space, data, mtype=made.id.get_type())


@settings(max_examples=40)
@given(
    st.lists(datasets(), min_size=1, max_size=4), st.sampled_from(["earliest", "latest"]),
    st.sampled_from([1, 60, 1 << 14]),
)  # fmt: skip
def test_random_files(check, drawn, libver, target):
    def fill(file):
        for k, one in enumerate(drawn):
            _write(file, f"d{k}", one)

    check(fill, libver=libver, target=target)
