"""Tests of measuring files of every kind, beside the codecs of their users."""

import gzip

import h5py
import numpy as np
import pytest

from vortex_hep.errors import SourceError
from vortex_hep.testing.bench import compare
from vortex_hep.testing.bench.alone import run_alone
from vortex_hep.testing.bench.content import load_content
from vortex_hep.testing.bench.rivals.baselines import measure_all
from vortex_hep.testing.bench.rivals.hdf5copy import copy_file
from vortex_hep.testing.bench.rivals.hdf5gzip import NAME, measure_gzip

COLUMNS = {"xz -9, per column", "zstd -19, per column", "pcodec 12, per column"}


def test_baselines_of_hdf5(hdf5_file):
    content = load_content(str(hdf5_file))
    assert content.kind == "hdf5"
    assert content.stream == hdf5_file.read_bytes()
    found = {item.codec: item for item in measure_all(str(hdf5_file), content, None, (1,))}
    assert {"the file as it came", NAME, "xz -9, whole file"} | COLUMNS <= set(found)
    assert not [name for name in found if name.startswith("ROOT")]
    assert {item.raw_bytes for item in found.values()} == {content.raw_bytes}
    assert all(item.verified for item in found.values())


def test_hepmc_is_measured_by_its_text(hepmc_file):
    content = load_content(str(hepmc_file))
    text = gzip.decompress(hepmc_file.read_bytes())
    assert (content.kind, content.stream, content.raw_bytes) == ("hepmc", text, len(text))
    found = {item.codec: item for item in measure_all(str(hepmc_file), content, None, (1,))}
    assert {"the file as it came", "gzip -9, whole text", "xz -9, whole text"} | COLUMNS <= set(
        found
    )
    assert {item.raw_bytes for item in found.values()} == {len(text)}
    assert found["gzip -9, whole text"].stored_bytes == len(gzip.compress(text, 9, mtime=0))


def test_an_unknown_file_is_measured_as_a_stream(other_file):
    content = load_content(str(other_file))
    found = [item.codec for item in measure_all(str(other_file), content, None, (1, 2))]
    assert found == ["the file as it came", "gzip -9, whole file", "xz -9, whole file"]


def test_an_empty_file_has_nothing_to_measure(tmp_path):
    path = tmp_path / "empty"
    path.write_bytes(b"")
    with pytest.raises(SourceError, match="holds no data"):
        compare(path)


@pytest.mark.slow
def test_comparison_of_an_unknown_file(other_file):
    """The whole way, without a network to fit: archive, restored file, memory of each."""
    found = compare(other_file, threads=1)
    ours = found.measurements[-1]
    assert ours.codec == "vortex_hep, fitted to this file"
    assert found.kind == "opaque"
    assert ours.verified
    assert set(ours.peak_memory_bytes) <= {"compress", "restore"}
    for peak in ours.peak_memory_bytes.values():
        assert 1e7 < peak < 1.5e9


def test_memory_is_that_of_the_call_alone(other_file, tmp_path):
    """What the process that measures holds must not show."""
    ballast = np.ones(60_000_000)
    found = run_alone(
        "compress", source=str(other_file), archive=str(tmp_path / "a.vxc"), model=None,
        effort="fast", device="cpu", threads=1,
    )  # fmt: skip
    assert found.seconds > 0
    assert found.peak_memory_bytes < ballast.nbytes


def test_an_error_of_the_call_is_raised_here(tmp_path):
    archive = str(tmp_path / "none.vxc")
    with pytest.raises(SourceError, match=r"none\.vxc"):
        run_alone("read", archive=archive, model=None, threads=1)


def test_gzip_of_hdf5_is_smaller_and_honours_chunks(hdf5_file):
    found = measure_gzip(str(hdf5_file), 1)
    assert 0 < found.stored_bytes < hdf5_file.stat().st_size
    assert [timing.threads for timing in found.timings] == [1]


def test_a_copied_file_holds_the_same(hdf5_file, tmp_path):
    copies = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for copy in copies:
        copy_file(hdf5_file, copy, lambda dataset: None)
    assert copies[0].read_bytes() == copies[1].read_bytes()
    with h5py.File(hdf5_file) as old, h5py.File(copies[0]) as new:
        assert dict(old.attrs) == dict(new.attrs)
        assert list(new["particles"]) == list(old["particles"])  # in the order of creation
        assert new["same jets"] == new["particles/jets"]
        assert new.get("soft", getlink=True).path == "/particles/energy"
        for name, dataset in old["particles"].items():
            assert dataset.dtype == new["particles"][name].dtype
            if dataset.shape is not None:
                assert (
                    np.asarray(dataset).tobytes() == np.asarray(new["particles"][name]).tobytes()
                    or dataset.dtype.hasobject
                )
