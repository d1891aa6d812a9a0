"""Tests of bits per byte of whole files: exact and complete, models and cuts included."""

import json
from dataclasses import replace

import numpy as np
import pytest
import uproot

from vortex_hep.core.progress import SilentProgress
from vortex_hep.errors import (
    SourceError,
    UnknownCodecError,
    UnsupportedTypeError,
    VerificationError,
)
from vortex_hep.models.model import Model
from vortex_hep.testing.bench import EvaluateOptions, Evaluation, evaluate
from vortex_hep.testing.bench.evalplot import save_evaluation_plot
from vortex_hep.testing.bench.evaltable import HEADER, evaluation_note, evaluation_rows
from vortex_hep.testing.bench.evaluation import EvaluatedFile
from vortex_hep.testing.bench.measure import Measurement, Timing
from vortex_hep.testing.bench.rivals import bytecodecs
from vortex_hep.testing.bench.rivals.bytecodecs import FAMILIES, byte_codecs
from vortex_hep.testing.examples import write_example

QUICK = EvaluateOptions(codecs=("zlib", "zstd"), levels="quick")


@pytest.fixture(scope="module")
def everything(other_file):
    """All codecs at all levels, and an archive."""
    return evaluate([other_file], options=EvaluateOptions(fit=True, effort="fast", threads=1))


def test_all_codecs_at_all_levels(everything, other_file):
    (file,) = everything.files
    codecs = [item.codec for item in file.measurements]
    assert codecs[:-1] == [f"{n} -{level}" for n, f in FAMILIES.items() for level in f.levels]
    assert codecs[-1] == "vortex_hep, fitted to this file"
    assert all(item.verified for item in file.measurements)
    assert {item.raw_bytes for item in file.measurements} == {other_file.stat().st_size}
    assert {item.settings["restored"] for item in file.measurements} == {"bytes"}
    assert everything.total() == file.measurements
    sizes = {item.codec: item.stored_bytes for item in file.measurements}
    assert sizes["gzip -9"] == sizes["zlib -9"] + 12  # the same stream within another frame


@pytest.mark.parametrize("name", FAMILIES)
def test_levels_of_a_codec_differ_and_decode(name):
    data = b"".join(b"%d times %x;" % (i % 97 * i, i * 7919) for i in range(20000))
    codecs = byte_codecs([name])
    sizes = [len(codec.encode(data)) for codec in codecs]
    assert len(set(sizes)) > 1
    assert all(codec.decode(codec.encode(data[:999])) == data[:999] for codec in codecs[::2])
    quick = [codec.level for codec in byte_codecs([name], levels="quick")]
    assert set(quick) <= {codec.level for codec in codecs}


def test_a_codec_that_lies_is_noticed(other_file, monkeypatch):
    honest = FAMILIES["zlib"]
    liar = replace(honest, decode=lambda data: honest.decode(data)[:-1] + b"?")
    monkeypatch.setitem(bytecodecs.FAMILIES, "zlib", liar)
    with pytest.raises(VerificationError, match="zlib -6 does not give back"):
        evaluate([other_file], options=QUICK)


@pytest.mark.slow
def test_archives_with_a_model_and_byte_for_byte(tmp_path):
    """ROOT files restored in another layout say so; with ``exact`` they come back as they were."""
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        file["events"] = {"x": np.arange(500) % 7, "y": np.sqrt(np.arange(500.0))}
    models = {"none.vxm": Model({})}
    options = EvaluateOptions(codecs=(), effort="fast", threads=1)
    (item,) = evaluate([path], models=models, options=options).total()
    assert item.codec == "vortex_hep, none.vxm"
    assert item.settings["restored"] == "content"
    assert item.model_bytes == models["none.vxm"].nbytes
    exact = replace(options, exact=True)
    (item,) = evaluate([path], models=models, options=exact).total()
    assert item.settings["restored"] == "bytes"


def test_a_model_counts_once_for_all_files():
    (first, _) = made_up().files
    found = Evaluation((first, first), {}).total()
    ours = {item.codec: item for item in found}["vortex_hep, m.vxm"]
    assert (ours.raw_bytes, ours.stored_bytes, ours.model_bytes) == (2_000_000, 500_000, 50_000)
    assert ours.settings["restored"] == "content"
    own = {item.codec: item for item in found}["vortex_hep, fitted"]
    assert own.embedded_model_bytes == 200_000
    assert own.timings == (Timing(2, 1.0, 0.5),)


def test_the_start_of_a_file(tmp_path, other_file):
    options = replace(QUICK, max_bytes=1000, repeat=2)
    (file,) = evaluate([other_file], options=options).files
    assert (file.file_bytes, file.raw_bytes) == (other_file.stat().st_size, 1000)
    assert {item.raw_bytes for item in file.measurements} == {1000}
    assert file.notes == (f"only the first 1,000 of {file.file_bytes:,} bytes were taken",)
    whole = evaluate([other_file], options=replace(QUICK, max_bytes=10**9)).files[0]
    assert (whole.raw_bytes, whole.notes) == (whole.file_bytes, ())
    # What is cut may be no file of its kind any more: said, and no reason to stop.
    write_example(tmp_path / "a.root", events=20, seed=1)
    cut = evaluate([tmp_path / "a.root"], options=replace(options, fit=True)).files[0]
    assert [item.codec for item in cut.measurements] == ["zlib -6", "zstd -3", "zstd -19"]
    assert cut.notes[1].startswith("vortex_hep, fitted to this file: not measured")


@pytest.mark.parametrize("name", ["none", "empty", "folder"])
def test_what_cannot_be_measured_is_known_before_any_work(name, tmp_path, other_file):
    class NoWork(SilentProgress):
        def task(self, *_):
            raise NotImplementedError

    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    message = {"none": "not there", "empty": "no bytes to measure", "folder": "not a file"}[name]
    with pytest.raises(SourceError, match=f"{name}: is .*{message[-8:]}"):
        evaluate([other_file, tmp_path / name], options=QUICK, progress=NoWork())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"codecs": ["zstd", "zpaq"]}, UnknownCodecError, "'zpaq' .*there are gzip"),
        ({"levels": "most"}, UnsupportedTypeError, "quick, all, not 'most'"),
        ({"repeat": 0}, UnsupportedTypeError, "at least 1"),
        ({"max_bytes": 0}, UnsupportedTypeError, "at least 1"),
    ],
)
def test_options_that_do_not_exist(other_file, change, error, message):
    with pytest.raises(error, match=message):
        evaluate([other_file], options=replace(QUICK, **change))


def made_up():
    """Two files; the second was cut and has no archive."""

    def measured(codec, raw, stored, threads=1, **more):
        settings = more.pop("settings", {"restored": "bytes"})
        timing = (Timing(threads, 0.5, 0.25),)
        return Measurement(codec, raw, stored, timing, verified=True, settings=settings, **more)

    zstd = {"restored": "bytes", "codec": "zstd", "level": 3}
    ours = measured(
        "vortex_hep, m.vxm", 1_000_000, 250_000, 2,
        model_bytes=50_000, settings={"restored": "content"},
    )  # fmt: skip
    own = measured("vortex_hep, fitted", 1_000_000, 300_000, 2, embedded_model_bytes=100_000)
    first = (measured("zstd -3", 1_000_000, 500_000, settings=zstd), ours, own)
    second = (measured("zstd -3", 1_000_000, 700_000, settings=zstd),)
    files = (
        EvaluatedFile("dir/a", 1_000_000, 1_000_000, first),
        EvaluatedFile("dir/b", 3_000_000, 1_000_000, second, ("only a part",)),
    )
    return Evaluation(files, {"cpu": "Abacus 9000"})


def test_rows_and_note():
    found = made_up()
    rows = evaluation_rows(found.files[0].measurements)
    assert [dict(zip(HEADER, row, strict=True)) for row in rows][1:] == [
        {
            "codec": "vortex_hep, fitted", "bytes": "300,000", "model": "100,000 inside",
            "ratio": "3.333", "bits/byte": "2.4000", "with model": "2.4000",
            "enc MB/s": "2", "dec MB/s": "4", "comes back": "bytes",
        },
        {
            "codec": "vortex_hep, m.vxm", "bytes": "250,000", "model": "50,000 beside",
            "ratio": "4.000", "bits/byte": "2.0000", "with model": "2.4000",
            "enc MB/s": "2", "dec MB/s": "4", "comes back": "content",
        },
    ]  # fmt: skip
    assert rows[0][0] == "zstd -3"  # the largest first
    assert evaluation_note(found) == "MB of the file per second with 1 thread; Abacus 9000"
    alone = Evaluation(found.files[:1], found.machine)
    assert "1 thread, vortex_hep with 2;" in evaluation_note(alone)


def test_json():
    plain = json.loads(json.dumps(made_up().as_json()))
    assert [file["file"] for file in plain["files"]] == ["a", "b"]
    assert plain["files"][1]["notes"] == ["only a part"]
    assert (plain["files"][1]["file_bytes"], plain["files"][1]["raw_bytes"]) == (3000000, 1000000)
    keys = ("bits_per_byte", "bits_per_byte_with_model", "bits_per_byte_without_model")
    bits = {m["codec"]: [m[key] for key in keys] for m in plain["files"][0]["measurements"]}
    assert bits == {
        "zstd -3": [4.0, 4.0, 4.0],
        "vortex_hep, m.vxm": [2.0, 2.4, 2.0],
        "vortex_hep, fitted": [2.4, 2.4, 1.6],
    }
    # Only what was measured on both files.
    assert [(m["codec"], m["bits_per_byte"]) for m in plain["total"]] == [("zstd -3", 4.8)]
    assert plain["total"][0]["timings"][0]["encode_mb_per_s"] == 2.0


def test_plot_is_a_png(tmp_path):
    found = made_up()
    for files in (found.files, found.files[:1], ()):
        path = tmp_path / f"{len(files)}.png"
        save_evaluation_plot(Evaluation(files, found.machine), path)
        assert path.read_bytes().startswith(b"\x89PNG")
