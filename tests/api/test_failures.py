"""Tests of failures: one line of explanation, and nothing left behind."""

import errno
import io
import os
import subprocess
import sys

import pytest
import uproot

import vortex_hep
from vortex_hep.archive import tree as archive_tree
from vortex_hep.codec.container.container import ContainerWriter
from vortex_hep.core.storage.local import RawOutput
from vortex_hep.errors import NotFoundError, NotVortexError, OutputError, SourceError
from vortex_hep.models.model import Model

NONE = Model({})


@pytest.fixture
def archive(tiny_archive, tmp_path):
    path = tmp_path / "in" / "tiny.vxc"
    path.parent.mkdir()
    path.write_bytes(tiny_archive)
    return path


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "text.root"
    path.write_text("not what it claims to be\n" * 100)
    return path


def test_inputs_that_are_not_there(tmp_path, out):
    missing = tmp_path / "missing.root"
    for call in (
        lambda: vortex_hep.compress_file(missing, out / "a.vxc"),
        lambda: vortex_hep.train([missing]),
        lambda: vortex_hep.open(missing),
        lambda: vortex_hep.verify(missing),
        lambda: vortex_hep.restore(missing, out / "a.root"),
        lambda: Model.load(missing),
        lambda: vortex_hep.open("memory://no/such/archive.vxc"),
        lambda: vortex_hep.compress_file("memory://no/such/file.root", out / "a.vxc"),
    ):
        with pytest.raises(SourceError) as caught:
            call()
        assert "such" in str(caught.value)
        assert isinstance(caught.value, OSError)
    assert list(out.iterdir()) == []


def test_inputs_that_are_folders(tmp_path, out):
    for call in (
        lambda: vortex_hep.compress_file(tmp_path, out / "a.vxc"),
        lambda: vortex_hep.open(tmp_path),
        lambda: Model.load(tmp_path),
    ):
        with pytest.raises(SourceError, match=str(tmp_path)):
            call()


def test_pipes_and_devices(twins_file, tmp_path, out):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for call in (
        lambda: vortex_hep.compress_file(pipe, out / "a.vxc"),
        lambda: vortex_hep.train([pipe]),
        lambda: vortex_hep.open(pipe),
        lambda: Model.load(pipe),
        lambda: vortex_hep.verify(os.devnull),
    ):
        with pytest.raises(SourceError, match="it is a pipe, a socket or a device"):
            call()
    with pytest.raises(OutputError, match="it is a pipe"):
        vortex_hep.compress_file(twins_file, pipe, model=NONE, overwrite=True)
    assert pipe.is_fifo()
    assert list(out.iterdir()) == []


def test_names_that_no_file_can_have(twins_file, out):
    with pytest.raises(SourceError, match="null"):
        vortex_hep.compress_file("a\0b", out / "a.vxc")
    with pytest.raises(OutputError, match="null"):
        vortex_hep.compress_file(twins_file, f"{out}/a\0b", model=NONE)
    assert list(out.iterdir()) == []


def test_inputs_that_are_something_else(text_file, archive, example_file, out):
    for other in (text_file, example_file):
        with pytest.raises(NotVortexError):
            vortex_hep.open(other)
        with pytest.raises(NotVortexError):
            Model.load(other)
        with pytest.raises(NotVortexError):
            vortex_hep.restore(other, out / "a.root")
    assert vortex_hep.verify(archive, against=text_file).differences == [
        "a file of kind 'root' against one of kind 'opaque'"
    ]
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("notes.txt", b"some text\r\n" * 1000, "no reader knows"),
        ("empty.root", b"", "it is empty"),
        ("page.root", b"<html>404</html>", "no ROOT file"),
        ("passwd", b"root:x:0:0:root:/root:/bin/bash\n", "no reader knows"),
        ("word", b"root", "no reader knows"),
    ],
)
def test_files_of_unknown_formats_are_carried_whole(name, content, note, out, tmp_path):
    source = tmp_path / name
    source.write_bytes(content)
    report = vortex_hep.compress_file(source, out / "a.vxc")
    assert any(note in message for message in report.messages)
    assert vortex_hep.verify(out / "a.vxc", against=source).ok
    vortex_hep.restore(out / "a.vxc", out / name)
    assert (out / name).read_bytes() == content


def test_an_archive_is_carried_whole_too(archive, out):
    report = vortex_hep.compress_file(archive, out / "a.vxc")
    assert any("already" in message for message in report.messages)


def test_a_truncated_root_file(example_file, out, tmp_path):
    cut = tmp_path / "cut.root"
    data = example_file.read_bytes()
    for size in (10, 1000, len(data) // 2, len(data) - 1):
        cut.write_bytes(data[:size])
        with pytest.raises(SourceError, match="truncated"):
            vortex_hep.compress_file(cut, out / "a.vxc", model=NONE)
    assert list(out.iterdir()) == []


def test_trees_that_are_not_there(example_file, out):
    with pytest.raises(NotFoundError, match=r"has Events, Runs .did you mean 'Events'"):
        vortex_hep.compress_file(example_file, out / "a.vxc", trees=["Event"])
    assert list(out.iterdir()) == []


def test_outputs_that_are_there_already(twins_file, archive, twins_model, out):
    target = out / "taken"
    target.write_text("precious")
    for call in (
        lambda: vortex_hep.compress_file(twins_file, target),
        lambda: vortex_hep.restore(archive, target),
        lambda: twins_model.save(target),
    ):
        with pytest.raises(OutputError, match="exists already"):
            call()
        assert target.read_text() == "precious"
    vortex_hep.compress_file(twins_file, target, model=NONE, overwrite=True)
    assert vortex_hep.verify(target, against=twins_file).ok
    vortex_hep.restore(archive, target, overwrite=True)
    with uproot.open(target) as file:
        assert file["Events"].num_entries == 300
    assert list(out.iterdir()) == [target]


def test_outputs_that_cannot_be(twins_file, archive, twins_model, out):
    for target in (out / "none" / "a", out):
        for call in (
            lambda target=target: vortex_hep.compress_file(twins_file, target, overwrite=True),
            lambda target=target: vortex_hep.restore(archive, target, overwrite=True),
            lambda target=target: twins_model.save(target, overwrite=True),
        ):
            with pytest.raises(OutputError, match=str(target)):
                call()
    assert list(out.iterdir()) == []


def test_disk_full(twins_file, archive, twins_model, out, monkeypatch):
    target = out / "a"
    target.write_text("precious")

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RawOutput, "put", full)
    for call in (
        lambda: vortex_hep.compress_file(twins_file, target, model=NONE, overwrite=True),
        lambda: twins_model.save(target, overwrite=True),
    ):
        with pytest.raises(OutputError, match="No space left") as caught:
            call()
        assert caught.value.errno == errno.ENOSPC
    assert target.read_text() == "precious"
    assert list(out.iterdir()) == [target]


LIMITED = """
import resource, sys, vortex_hep
from vortex_hep.models.model import Model
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    if sys.argv[1] == "compress":
        vortex_hep.compress_file(sys.argv[2], sys.argv[3], model=Model({}), effort="fast")
    else:
        vortex_hep.restore(sys.argv[2], sys.argv[3])
except vortex_hep.VortexError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits on files are a thing of Unix")
@pytest.mark.parametrize("command", ["compress", "restore"])
def test_a_file_system_that_takes_no_more(example_file, tmp_path, out, command):
    source = example_file
    if command == "restore":
        source = tmp_path / "in.vxc"
        vortex_hep.compress_file(example_file, source, model=NONE, effort="fast")
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, command, str(source), str(out / "a")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.startswith("OutputError")
    assert str(out / "a") in run.stdout
    assert list(out.iterdir()) == []


def test_interrupted_compression(example_file, out, monkeypatch):
    calls = []
    add = ContainerWriter.add

    def interrupt(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return add(self, *args, **kwargs)

    monkeypatch.setattr(ContainerWriter, "add", interrupt)
    with pytest.raises(KeyboardInterrupt):
        vortex_hep.compress_file(example_file, out / "a.vxc", model=NONE, effort="fast")
    assert list(out.iterdir()) == []


def test_interrupted_restoration(archive, out, monkeypatch):
    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(archive_tree.ArchiveTree, "_decode", interrupt)
    with pytest.raises(KeyboardInterrupt):
        vortex_hep.restore(archive, out / "a.root")
    assert list(out.iterdir()) == []


def test_a_damaged_archive_restores_nothing(tiny_archive, archive, out):
    with vortex_hep.open(io.BytesIO(tiny_archive)) as opened:
        offsets = opened.reader.chunks["offset"].tolist()
    for offset in offsets:
        damaged = bytearray(tiny_archive)
        damaged[offset + 40] ^= 1
        archive.write_bytes(damaged)
        with pytest.raises(vortex_hep.VortexError, match=r"tiny\.vxc"):
            vortex_hep.restore(archive, out / "a.root")
    assert list(out.iterdir()) == []
