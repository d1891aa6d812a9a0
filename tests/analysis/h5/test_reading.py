"""Tests of indexing a dataset: what h5py gives, and no more decoded than needed."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

import vortex_hep
from vortex_hep.analysis.h5 import chunks
from vortex_hep.readers.hdf5.chunks.encoding import Encoder

INDICES = [
    (), ..., slice(None), slice(240, 260), slice(0, 0), slice(2990, 9999), slice(7, 3),
    slice(1, None, 7), slice(-300, -1), 0, -1, np.int64(1200), [5], [0, 249, 250, 2999],
    np.arange(10, 2000, 333), np.arange(3000) % 100 == 3, np.zeros(3000, bool),
]  # fmt: skip
WRONG = [
    3000, -3001, slice(None, None, -1), [3, 1], [1, 1], [-1, -2], [3000], None, "charge", 1.5,
    (0, 0, 0), np.ones(7, bool), "0",
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_rows(pair, same, index):
    f, g = pair
    for name in ("jets", "tracks"):
        same(f[name][index], g[name][index], name)
        same(f[name].fields("pt" if name == "jets" else "d0")[index],
             g[name].fields("pt" if name == "jets" else "d0")[index], name)  # fmt: skip


@pytest.mark.parametrize(
    "index",
    [
        np.s_[:, 0], np.s_[3, 1], np.s_[240:260, [0, 2]], np.s_[..., 1], np.s_[[1, 300], 2:],
        np.s_[5, ...], np.s_[::9, ::3], np.s_[:0, 1], np.s_[2, [1, 3]], np.s_[-1, -1],
        (np.arange(3000 * 8) % 11 == 0).reshape(3000, 8), np.zeros((3000, 8), bool),
    ],
    ids=lambda i: repr(i)[:40],
)  # fmt: skip
def test_elements(pair, same, index):
    f, g = pair
    same(f["tracks"][index], g["tracks"][index])
    same(f["tracks"].fields(["hits", "d0"])[index], g["tracks"].fields(["hits", "d0"])[index])


@pytest.mark.parametrize("index", WRONG, ids=repr)
def test_what_h5py_refuses_is_refused_in_its_words(pair, index):
    raised = []
    for file in pair:
        with pytest.raises((IndexError, OSError, TypeError, ValueError)) as caught:
            file["jets"][index]
        raised.append((caught.type, str(caught.value)))
    assert raised[0] == raised[1]


def test_fields(pair, same):
    f, g = pair
    for index in ("pt", ("pt", 3), ("eta", "pt", np.s_[:9]), ("n_tracks", np.s_[400:600])):
        same(f["jets"][index], g["jets"][index])
    same(f["jets"]["pt"][10:20], g["jets"]["pt"][10:20])
    names = ["flavour", "pt"]
    same(f["jets"].fields(names)[240:510], g["jets"].fields(names)[240:510])


def test_conversions_are_those_of_the_library(pair, same):
    f, g = pair
    wider = np.dtype([("eta", "<f8"), ("n_tracks", "<i4"), ("pt", "<i4")])
    same(f["jets"].astype(wider)[100:300], g["jets"].astype(wider)[100:300])
    same(np.asarray(f["jets"]), np.asarray(g["jets"]))
    for name, dtype, source, dest in (
        ("jets", wider, np.s_[10:20], None), ("jets", f["jets"].dtype, None, None),
        ("tracks", [("valid", "?")], np.s_[5:9, :3], np.s_[:, 2:5]), ("jets", "<f4", 3, None),
    ):  # fmt: skip
        shape = (4, 6) if dest else f[name][... if source is None else source].shape
        results = []
        for file in pair:
            out = np.full(shape, 3, dtype)
            if name == "jets" and dtype == "<f4":
                with pytest.raises((TypeError, OSError), match=r"onver|path"):
                    file[name].read_direct(out, source, dest)
            else:
                file[name].read_direct(out, source, dest)
            results.append(out)
        same(*results, name)


def test_only_touched_clusters_and_fields_are_decoded(flavtag, decoded):
    with vortex_hep.h5(flavtag / "jets.vxc") as g:
        starts = [a for a, _ in g.archive["jets"].cluster_ranges(0)]
        assert len(starts) > 3
        assert list(g) == ["bookkeeper", "jets", "tracks"]
        assert g["jets"].shape == (3000,)
        assert g["jets"].attrs["flavour_label"][2] == "bjets"
        g["jets"][5:5]
        assert not decoded
        g["jets"].fields("pt")[starts[1] : starts[1] + 5]
        once = set(decoded)
        g["jets"].fields("pt")[starts[1] + 7]
        assert decoded == once
        g["jets"].fields("pt")[starts[2] - 1 : starts[2] + 1]
        assert len(decoded) == 2 * len(once)
        g["jets"].fields("pt")[[starts[1], starts[3]]]
        assert len(decoded) == 3 * len(once)
        before = {plan for _, plan in decoded}
        g["tracks"].fields("d0")[:2]
        assert {plan for _, plan in decoded} > before


def test_a_cache_keeps_what_was_decoded(flavtag, decoded):
    with vortex_hep.h5(flavtag / "jets.vxc", cache="50 MB") as g:
        random = np.random.default_rng(3)
        whole = g["jets"][:]
        decoded.clear()
        for _ in range(20):
            rows = np.sort(random.choice(3000, 40, replace=False))
            assert g["jets"][rows].tobytes() == whole[rows].tobytes()
        assert not decoded


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, make_archive):
    """A file with types and layouts of all kinds, and its archive."""
    folder = tmp_path_factory.mktemp("kinds")
    random = np.random.default_rng(5)
    with h5py.File(folder / "kinds.h5", "w") as f:
        f["grid"] = random.integers(0, 50, (2000, 3)).astype(">i4")
        f.create_dataset("corners", data=random.random((700, 50)).round(2), chunks=(128, 7),
                         compression="gzip", fillvalue=7.0)  # fmt: skip
        f["complex"] = random.random((20, 5, 6)) + 1j
        f["text"] = np.array([b"ab", b"c ", b"\0x"])[random.integers(0, 3, 3000)]
        f.create_dataset("enum", data=random.integers(1, 3, 3000).astype("<i2"),
                         dtype=h5py.enum_dtype({"A": 1, "B": 2}, "<i2"))  # fmt: skip
        spaces = h5py.h5t.C_S1.copy()
        spaces.set_size(5)
        spaces.set_strpad(h5py.h5t.STR_SPACEPAD)
        space = h5py.h5s.create_simple((2000,))
        h5py.h5d.create(f.id, b"spaces", spaces, space).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.array([b"ab ", b" c"] * 1000, "S5")
        )
        nested = np.zeros(1500, [("x", "<f2"), ("y", [("u", "<i4"), ("v", "<f8", (2,))]),
                                 ("ref", h5py.ref_dtype)])  # fmt: skip
        nested["x"], nested["y"]["u"] = random.normal(size=1500), np.arange(1500)
        nested["ref"] = f["grid"].ref
        f["nested"] = nested
        pairs = h5py.h5t.array_create(h5py.h5t.IEEE_F32LE, (3,))
        h5py.h5d.create(f.id, b"array", pairs, space).write(
            h5py.h5s.ALL, h5py.h5s.ALL, random.random((2000, 3)).astype("<f4"), mtype=pairs
        )
        f["long"] = random.integers(0, 9, (3, 4, 300_000)).astype("<i2")
        f["part"] = np.array([f["corners"].regionref[100:140, 3:5]], h5py.regionref_dtype)
        f["words"] = np.array(["of", "any", "length"], object)
        f["soft"], f["hard"] = h5py.SoftLink("/corners"), f["corners"]
        f["out/of"] = h5py.ExternalLink("nowhere.h5", "/x")
        layout = h5py.VirtualLayout((2000, 3), ">i4")
        layout[:] = h5py.VirtualSource(".", "grid", shape=(2000, 3))
        f.create_virtual_dataset("virtual", layout)
        f["steps"] = np.arange(2000)
        f["steps"].make_scale("step")
        f["grid"].dims[0].attach_scale(f["steps"])
    make_archive(folder / "kinds.h5", folder / "kinds.vxc")
    return folder


@pytest.fixture
def both(kinds):
    with h5py.File(kinds / "kinds.h5") as f, vortex_hep.h5(kinds / "kinds.vxc") as g:
        yield f, g


@pytest.mark.parametrize(
    "name",
    ["grid", "corners", "complex", "text", "enum", "spaces", "nested", "array", "long", "words",
     "soft", "hard", "virtual", "steps"],
)  # fmt: skip
def test_kinds_of_datasets(both, same, name):
    f, g = both
    assert f[name].dtype == g[name].dtype
    for index in ((), np.s_[1:3], 0, [0, 2]):
        same(f[name][index], g[name][index], name)


def test_more_of_kinds(both, same):
    f, g = both
    same(f["nested"]["y"], g["nested"]["y"])
    same(f["nested"].fields(["x"])[3:9], g["nested"].fields(["x"])[3:9])
    assert g[g["nested"][4]["ref"]].name == "/grid"
    same(f["text"].asstr()[:4:2], g["text"].asstr()[:4:2])
    same(f["complex"][3:5, [1, 2], 4], g["complex"][3:5, [1, 2], 4])
    same(f["grid"].dims[0][0][5:7], g["grid"].dims[0][0][5:7])
    assert list(g["corners"].iter_chunks()) == list(f["corners"].iter_chunks())
    same(f["corners"][f["part"][0]], g["corners"][g["part"][0]])
    with pytest.raises(ValueError, match="positive"):
        g["nested"].fields([])[:]


def test_the_library_itself_finds_chunks_as_they_were(both, pair, same, tmp_path):
    with h5py.File(tmp_path / "copy.h5", "w") as copy:
        for f, g in (both, pair):
            for name in ("corners", "grid", "text") if "grid" in f else ("jets", "tracks"):
                g.copy(name, copy)
                same(f[name][()], copy[name][()], name)
                if f[name].chunks:
                    assert f[name].id.read_direct_chunk((250 * 0,) * f[name].ndim) == (
                        g[name].id.read_direct_chunk((0,) * f[name].ndim)
                    )


def test_another_compression_library_is_an_error_where_its_chunks_are_needed(both, monkeypatch):
    class Other(Encoder):
        def encode(self, data, mask):
            return mask, b"x"

    monkeypatch.setattr(chunks, "Encoder", Other)
    _, g = both
    with (
        h5py.File("copy", "w", driver="core", backing_store=False) as copy,
        pytest.raises(vortex_hep.VortexError, match=r"corners.*does not give the chunks"),
    ):
        g.copy("corners", copy)
    assert g["corners"][5].shape == (50,)
