"""Tests of damaged HDF5 files: an error that says where, or all of their bytes."""

import h5py
import numpy as np
import pytest

from vortex_hep.errors import CorruptionError, SourceError, VortexError
from vortex_hep.readers import open_source
from vortex_hep.readers.kinds import RestoreOptions, kind_module

PAIR = np.dtype([("a", "<f4"), ("v", "?")])


def _fill(file):
    data = np.arange(300, dtype="<i4").reshape(60, 5)
    file.create_dataset(
        "x", data=data, chunks=(16, 3), compression="gzip", shuffle=True, fletcher32=True
    )
    file.create_dataset("l", data=np.arange(200, dtype="<i2"), chunks=(64,), compression="lzf")
    file["y"] = np.arange(50.0)
    tracks = np.zeros((20, 4), PAIR)
    tracks[:, 0] = (1, True)
    file.create_dataset("g/tracks", data=tracks, chunks=(8, 4))
    file["g/jets"] = tracks[:, 0]
    file["text"] = ["a", "bb"]
    file["x"].attrs["ref"] = file["y"].ref


@pytest.fixture(params=["earliest", "latest"])
def sound(request, make):
    """A small file of many parts."""
    return make(_fill, libver=request.param)


def _attempt(path, out, read):
    """Restore a file byte for byte, or None where an error says what is wrong."""
    out.unlink(missing_ok=True)
    try:
        with open_source(path, exact=True) as source:
            blobs, ranges, clusters = read(source)
            kind = source.kind
        kind_module(kind).restore_file(
            blobs, ranges, lambda *key: clusters[key], out, RestoreOptions()
        )
    except VortexError as error:
        text = str(error)
    else:
        return out.read_bytes()
    assert str(path) in text or str(out) in text
    assert "\n" not in text
    assert not out.exists()
    assert not list(out.parent.glob(".vortex-*"))
    return None


def test_truncation(sound, tmp_path, read):
    data, path = sound.read_bytes(), tmp_path / "cut.h5"
    for size in [*range(0, 120, 7), *range(120, len(data), 211), len(data) - 1]:
        path.write_bytes(data[:size])
        restored = _attempt(path, tmp_path / "out.h5", read)
        assert restored is None if size >= 8 else restored == data[:size]


def test_message_of_truncation(sound, tmp_path):
    path = tmp_path / "cut.h5"
    path.write_bytes(sound.read_bytes()[:-100])
    with pytest.raises(SourceError, match=r"should have .* bytes but has .* truncated"):
        open_source(path)


def test_flipped_bytes(sound, tmp_path, read):
    """Anywhere: what is taken for sound comes back with every byte, damage and all."""
    data, path = sound.read_bytes(), tmp_path / "flipped.h5"
    rng = np.random.default_rng(1)
    outcomes = set()
    for at in rng.choice(len(data), 80, replace=False).tolist():
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        restored = _attempt(path, tmp_path / "out.h5", read)
        assert restored is None or restored == damaged
        outcomes.add(restored is None)
    assert outcomes == {True, False}


def test_flipped_bytes_of_chunks(sound, tmp_path, read):
    """A checksum tells damage; the error says where."""
    with h5py.File(sound, "r") as file:
        info = file["x"].id.get_chunk_info(1)
    data, path = sound.read_bytes(), tmp_path / "flipped.h5"
    for at in range(info.byte_offset, info.byte_offset + info.size, 3):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(SourceError) as caught, open_source(path) as source:
            read(source)
        found = caught.value
        assert (found.path, found.tree, found.offset) == (str(path), "x", info.byte_offset)


def _with(path, old, new):
    """Replace bytes that are once in a file."""
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))


def test_chunks_outside_the_file(make):
    def fill(file):
        file.create_dataset("x", data=np.arange(40, dtype="<i4"), chunks=(10,))

    for value in (1 << 20, (1 << 63) - 8, (1 << 64) - 9):
        path = make(fill)
        with h5py.File(path, "r") as file:
            info = file["x"].id.get_chunk_info(2)
        _with(path, info.byte_offset.to_bytes(8, "little"), value.to_bytes(8, "little"))
        with pytest.raises(SourceError) as caught:
            open_source(path)
        assert caught.value.tree == "x"


def test_contiguous_data_outside_the_file(make):
    path = make(lambda f: f.create_dataset("y", data=np.arange(4000, dtype="<i4")))
    with h5py.File(path, "r") as file:
        offset = file["y"].id.get_offset()
    place = offset.to_bytes(8, "little") + (16000).to_bytes(8, "little")
    _with(path, place, (offset + 500).to_bytes(8, "little") + place[8:])
    with pytest.raises(SourceError):
        open_source(path)


def test_claims_of_size(make):
    """A contiguous dataset whose shape says more than the file has."""
    path = make(lambda f: f.create_dataset("y", data=np.arange(4001, dtype="<i4")))
    data = path.read_bytes()
    for value in (1 << 40, (1 << 62) + 1):
        path.write_bytes(data.replace((4001).to_bytes(8, "little"), value.to_bytes(8, "little")))
        with pytest.raises(SourceError):
            open_source(path)


def test_parameters_of_filters(make, tmp_path, read):
    """Szip without parameters, by which the library would divide."""

    def fill(file):
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((16,))
        made.set_filter(32099, 1, (0, 0, 0, 0))
        space = h5py.h5s.create_simple((32,))
        found = h5py.h5d.create(file.id, b"x", h5py.h5t.STD_I32LE, space, made)
        found.write_direct_chunk((0,), bytes(64), 0)

    path = make(fill)
    _with(path, (32099).to_bytes(2, "little"), (4).to_bytes(2, "little"))
    with open_source(path) as source:
        assert not source.trees
        assert "invalid parameters of filter 'szip'" in source.notes()[0]
    assert _attempt(path, tmp_path / "out.h5", read) == path.read_bytes()


def test_overlapping_chunks_are_kept(make, tmp_path, read):
    """Two chunks of one place in the file: no sound file, but its bytes come back."""

    def fill(file):
        for name in ("x", "y"):
            file.create_dataset(name, data=np.arange(40, dtype="<i4"), chunks=(10,))

    path = make(fill)
    with h5py.File(path, "r") as file:
        one, two = (file[n].id.get_chunk_info(2).byte_offset for n in "xy")
    _with(path, two.to_bytes(8, "little"), one.to_bytes(8, "little"))
    assert _attempt(path, tmp_path / "out.h5", read) == path.read_bytes()


def test_signature_and_nothing_behind(tmp_path):
    path = tmp_path / "in.h5"
    for tail in (b"", b"\0" * 40, b"\0" * 4000, b"\xff" * 4000, b"\x02" * 4000):
        path.write_bytes(b"\x89HDF\r\n\x1a\n" + tail)
        with pytest.raises(SourceError) as caught:
            open_source(path)
        assert caught.value.path == str(path)
        assert "\n" not in str(caught.value)


def test_damage_while_compressing_leaves_no_archive(sound, tmp_path):
    from vortex_hep import Model, compress_file

    with h5py.File(sound, "r") as file:
        info = file["x"].id.get_chunk_info(5)
    data = bytearray(sound.read_bytes())
    data[info.byte_offset + 5] ^= 1
    sound.write_bytes(data)
    with pytest.raises(SourceError, match="'x'"):
        compress_file(sound, tmp_path / "a.vxc", model=Model({}), effort="fast")
    assert [p.name for p in tmp_path.iterdir()] == ["in.h5"]


def test_heap_without_an_end(make, tmp_path):
    """The library goes round for ever in such a heap; a comparison must not."""
    from vortex_hep import Model, compress_file, verify

    path = make(lambda f: f.create_dataset("text", data=["a", "bb", "ccc"]))
    compress_file(path, tmp_path / "a.vxc", model=Model({}), effort="fast")
    data = bytearray(path.read_bytes())
    heap = data.index(b"GCOL")
    last = heap + 16 + 3 * 24
    assert data[last : last + 2] == bytes(2)
    assert any(data[last + 8 : last + 16])
    data[last + 8 : last + 16] = bytes(8)
    path.write_bytes(data)
    with pytest.raises(CorruptionError, match="damaged heap"):
        verify(tmp_path / "a.vxc", against=path)
