"""Tests of the baselines: right sizes, lossless."""

import lzma
from pathlib import Path

import numpy as np
import pytest

from vortex_hep.readers.root.file.compression import Compression
from vortex_hep.testing.bench.content import Column, load_content
from vortex_hep.testing.bench.rivals.baselines import measure_all, measure_baskets
from vortex_hep.testing.bench.rivals.baskets import ROOT_SETTINGS, load_baskets
from vortex_hep.testing.bench.rivals.columncodecs import COLUMN_CODECS

DTYPES = ("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8")


@pytest.mark.parametrize("codec", COLUMN_CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 2, 1000])
def test_column_codecs_give_back_every_bit(codec, dtype, rows):
    if not codec.available:
        pytest.skip(f"{codec.needs} is not installed")
    rng = np.random.default_rng(rows)
    width = np.dtype(dtype).itemsize
    if dtype == "|b1":
        data = rng.integers(0, 2, rows, np.uint8).tobytes()
    else:
        data = rng.bytes(rows * width)  # NaN payloads and denormals included
    column = Column("x", data, width, dtype)
    assert codec.decode(codec.encode(column), column) == data


@pytest.mark.parametrize("size", [0, 1, 5000, 300_000])
def test_xz_is_what_its_preset_9_makes(size):
    """The dictionary is no longer than the data: that must neither help nor harm."""
    rng = np.random.default_rng(size)
    data = rng.integers(0, 40, size, np.uint8).tobytes() + rng.normal(size=size // 8).tobytes()
    data += data[: size // 3]
    codec = next(codec for codec in COLUMN_CODECS if codec.name.startswith("xz"))
    stored = codec.encode(Column("x", data, 1, "|u1"))
    plain = lzma.compress(data, preset=9)
    assert len(stored) == len(plain)
    # Stream header (12 bytes), block header (12, it names the dictionary), then the data.
    assert stored[24:] == plain[24:]


def test_content_is_what_the_branches_hold(example_file):
    import uproot

    content = load_content(str(example_file))
    with uproot.open(example_file) as file:
        expected = sum(
            sum(array.nbytes for array in tree.arrays(library="np").values() if array.dtype != "O")
            for tree in (file["Events"], file["Runs"])
        )
        jets = file["Events"]["Jet_pt"].array().layout.content.data
    columns = {column.name: column for column in content.columns}
    assert columns["Events/Jet_pt"].data == jets.tobytes()
    flat = sum(
        len(c.data) for c in content.columns if "_" not in c.name or c.name.startswith("Runs")
    )
    assert flat <= expected
    assert content.raw_bytes == sum(len(column.data) for column in content.columns)
    assert len(content.remainder.data) > 0


@pytest.mark.slow
def test_all_baselines_measure_the_same_content(example_file):
    content = load_content(str(example_file))
    found = list(measure_all(str(example_file), content, load_baskets(str(example_file)), (1, 2)))
    names = [item.codec for item in found]
    assert names[:4] == ["the file as it came", *(name for name, _ in ROOT_SETTINGS)]
    assert {item.raw_bytes for item in found} == {content.raw_bytes}
    assert all(item.verified for item in found)
    assert all(len(item.timings) == 2 for item in found[1:])
    by_name = {item.codec: item.stored_bytes for item in found}
    assert (
        by_name["xz -9, per column"]
        < by_name["ROOT LZMA 9, per basket"]
        < by_name["ROOT zstd 5, per basket"]
        < content.raw_bytes
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "setting"),
    [("nanoaod/pfnano.root", Compression("lzma", 9))],
)
def test_rewriting_with_the_files_own_setting_gives_its_own_size(shared_data, name, setting):
    """Real ROOT wrote this file: the emulation must arrive at its size to the byte."""
    path = str(shared_data / "real" / name)
    baskets = load_baskets(path)
    assert baskets is not None
    found = measure_baskets("own", setting, baskets, 1, (1,))
    assert found.stored_bytes == Path(path).stat().st_size


def test_a_file_without_baskets_has_no_basket_baseline(shared_data):
    assert load_baskets(str(shared_data / "real/nanoaod/nano_dy_rntuple.root")) is None
