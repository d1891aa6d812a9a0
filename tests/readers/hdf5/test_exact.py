"""Tests of restoring HDF5 files byte for byte: promised, forecast and checked."""

import zlib

import numpy as np
import pytest

from vortex_hep import Model, compress_file, exact_forecast, restore, verify
from vortex_hep.errors import CorruptionError
from vortex_hep.readers.hdf5.chunks import filters as filters_module

DATA = (np.arange(4000) % 97).astype(np.int16)


def _odd_deflate(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, 15, 1, zlib.Z_HUFFMAN_ONLY)
    return packer.compress(data) + packer.flush()


def _fill(file, *, odd=()):
    """One dataset of eight chunks, some of them packed as no zlib does it by itself."""
    made = file.create_dataset("x", (4000,), "<i2", chunks=(500,), compression=5)
    for k in range(8):
        data = DATA[500 * k :][:500].tobytes()
        raw = _odd_deflate(data) if k in odd else zlib.compress(data, 5)
        made.id.write_direct_chunk((500 * k,), raw, 0)
    file["y"] = np.arange(30)


@pytest.mark.parametrize("odd", [(), (0,), (3, 4), tuple(range(8))])
def test_through_an_archive(make, tmp_path, compare_files, odd):
    path = make(lambda f: _fill(f, odd=odd), userblock_size=512)
    path.write_bytes(path.read_bytes() + b"behind")
    archive, out = tmp_path / "a.vxc", tmp_path / "out.h5"
    report = compress_file(path, archive, model=Model({}), effort="fast", exact=True)
    assert report.columns
    assert verify(archive, against=path).ok
    restore(archive, out)
    assert out.read_bytes() == path.read_bytes()
    restore(archive, out, exact=False, overwrite=True)
    compare_files(path, out)


def test_forecast(make):
    assert "all bytes come back exactly" in exact_forecast(make(lambda f: f.create_group("g")))
    sampled = exact_forecast(make(_fill))
    assert sampled == "all 8 sampled chunks re-encode exactly"
    sampled = exact_forecast(make(lambda f: _fill(f, odd=(1, 2))))
    assert sampled.startswith("6 of 8 sampled chunks re-encode exactly, the rest is stored as it")
    assert sampled.endswith("MB")


def test_chunks_of_several_levels(make, there_and_back, tmp_path):
    """Each dataset has one way to encode; the chunks that it does not fit are kept."""

    def fill(file):
        for name, levels in (("a", (1, 1, 1, 9)), ("b", (9, 9, 9, 9)), ("c", (5, 1, 9, 6))):
            made = file.create_dataset(name, (4000,), "<i2", chunks=(1000,), compression=5)
            for k, level in enumerate(levels):
                data = np.arange(1000 * k, 1000 * k + 1000, dtype="<i2")
                raw = zlib.compress(data.tobytes(), level)
                made.id.write_direct_chunk((1000 * k,), raw, 0)

    path = make(fill)
    _, _, notes = there_and_back(path, tmp_path / "out.h5", exact=True)
    assert (tmp_path / "out.h5").read_bytes() == path.read_bytes()
    assert not any(note.startswith("b:") for note in notes)
    assert any(note.startswith("a: 1 of 4 chunks") for note in notes)


def test_another_zlib_is_found_out(make, tmp_path, monkeypatch, compare_files):
    """Where zlib packs otherwise than it did: an error and no file, or the same content."""
    path, out = make(_fill), tmp_path / "out.h5"
    archive = tmp_path / "a.vxc"
    compress_file(path, archive, model=Model({}), effort="fast", exact=True)

    class Other:
        @staticmethod
        def compress(data, level):
            del level
            return _odd_deflate(data)

    monkeypatch.setattr(filters_module, "zlib", Other)
    with pytest.raises(CorruptionError, match="the original has") as caught:
        restore(archive, out)
    assert "--no-exact" in str(caught.value)
    assert not out.exists()
    restore(archive, out, exact=False)
    monkeypatch.undo()
    compare_files(path, out)
    assert verify(archive, against=path).ok
