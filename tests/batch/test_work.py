"""Tests of a worker's work on one file, in all of its outcomes; without dask."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import vortex_hep
from tests.waiting import wait_until
from tests.xrootd import XrootdServer, free_port, xrootd, xrootd_base
from vortex_hep.batch.states import Order, Reason
from vortex_hep.batch.worker.attempt import temporary_name, temporary_names
from vortex_hep.batch.worker.work import compress_one, restore_one, verify_one
from vortex_hep.batch.workoptions import WorkOptions
from vortex_hep.core import storage
from vortex_hep.errors import OutputError
from vortex_hep.testing.examples import write_example

__all__ = ["xrootd", "xrootd_base"]

MODEL = vortex_hep.Model({})
HOW = WorkOptions("compress", "j0b", embed_model=True)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A smaller file than the one that all tests share: there is much to do with it."""
    path = tmp_path_factory.mktemp("example") / "example.root"
    write_example(path, events=30, seed=7)
    return path


@pytest.fixture
def source(tmp_path, example):
    path = tmp_path / "in" / "a.root"
    path.parent.mkdir()
    shutil.copyfile(example, path)
    return path


def order(source, target, number=1, **changes) -> Order:
    fields = {"size": None, "mtime": None, "attempt": 1, **changes}
    return Order(number, str(source), str(target), **fields)


def failed(outcome, reason, text=""):
    """The outcome is a failure, told in one line, and nothing is left beside the output."""
    assert not outcome.ok
    assert outcome.reason == reason.value, outcome.error
    assert text in outcome.error
    assert "\n" not in outcome.error
    return True


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_done(tmp_path, source):
    target = tmp_path / "out" / "deep" / "a.vxc"
    found = source.stat()
    began = time.time()
    outcome = compress_one(order(source, target, size=found.st_size), HOW, MODEL)
    assert outcome.ok, outcome.error
    assert (outcome.source_size, outcome.source_mtime) == (found.st_size, found.st_mtime)
    assert outcome.source_adler32 == storage.identity(str(source)).adler32
    written = storage.identity(str(target))
    assert (outcome.target_size, outcome.target_adler32) == (written.size, written.adler32)
    assert set(outcome.stages) == {"compress", "verify", "checksum"}
    assert began <= outcome.started <= outcome.finished <= time.time()
    assert outcome.raw_bytes == sum(raw for raw, _ in outcome.groups.values())
    assert outcome.groups["Jet"][0] > outcome.groups["Jet"][1] > 0
    assert vortex_hep.verify(target, against=source).ok
    assert names(target.parent) == ["a.vxc"]


@pytest.mark.parametrize("changes", [{"exact": True}, {"verify": "checksum"}, {"trees": ("Runs",)}])
def test_options(tmp_path, source, changes):
    if "exact" in changes:  # finding out how to make a ROOT file again takes seconds
        source.write_bytes(b"bytes\0" * 1000)
    how = dataclasses.replace(HOW, **changes)
    outcome = compress_one(order(source, tmp_path / "a.vxc"), how, MODEL)
    assert outcome.ok, outcome.error
    with vortex_hep.open(tmp_path / "a.vxc") as archive:
        assert (archive.identity is not None) == how.exact
        trees = set() if how.exact else {"Events", "Runs"}
        assert set(archive) == ({"Runs"} if how.trees else trees)


def test_an_archive_that_is_there_is_adopted(tmp_path, source):
    """As after the driver was killed between the renaming and the entry in the journal."""
    target = tmp_path / "a.vxc"
    first = compress_one(order(source, target), HOW, MODEL)
    before = target.stat().st_ino
    again = compress_one(order(source, target, attempt=2), HOW, MODEL)
    assert again.ok
    assert again.adopted
    assert target.stat().st_ino == before
    for name in ("source_adler32", "target_size", "target_adler32", "raw_bytes", "groups"):
        assert getattr(again, name) == getattr(first, name)
    exact = dataclasses.replace(HOW, exact=True)
    assert failed(compress_one(order(source, target), exact, MODEL), Reason.EXISTS, "very bytes")


def test_another_file_is_in_the_way(tmp_path, source):
    target = tmp_path / "a.vxc"
    other = tmp_path / "other.root"
    write_example(other, events=30, seed=8)
    assert compress_one(order(other, target), HOW, MODEL).ok
    whole = target.read_bytes()
    for content in (whole, whole[:-7], b"something else", b""):
        target.write_bytes(content)
        outcome = compress_one(order(source, target), HOW, MODEL)
        assert failed(outcome, Reason.EXISTS, f"{target}: exists, and is not what would be written")
        assert target.read_bytes() == content
    overwrite = dataclasses.replace(HOW, overwrite=True)
    assert compress_one(order(source, target), overwrite, MODEL).ok
    assert vortex_hep.verify(target, against=source).ok
    assert names(tmp_path) == ["a.vxc", "in", "other.root"]


def test_somebody_makes_the_archive_meanwhile(tmp_path, source, monkeypatch):
    target = tmp_path / "a.vxc"
    rename = storage.rename

    def late(old, new, **options):
        shutil.copyfile(old, new)
        rename(old, new, **options)

    monkeypatch.setattr(storage, "rename", late)
    outcome = compress_one(order(source, target), HOW, MODEL)
    assert outcome.ok
    assert outcome.adopted
    assert names(tmp_path) == ["a.vxc", "in"]


def test_two_attempts_at_the_same_time(tmp_path, source):
    """A worker that only seemed to be lost, and the one that took its place."""
    target = tmp_path / "a.vxc"
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(compress_one, order(source, target, attempt=1), HOW, MODEL)
        part = ".a.vxc.*-1.part"
        wait_until(lambda: first.done() or list(tmp_path.glob(part)), every=0.001)
        second = pool.submit(compress_one, order(source, target, attempt=2), HOW, MODEL)
        # The second removes what the first has written so far, as if it were a leftover.
        assert second.result().ok, second.result().error
        assert first.result().ok or first.result().reason is not None
    assert vortex_hep.verify(target, against=source).ok
    assert names(tmp_path) == ["a.vxc", "in"]


def test_leftovers_of_earlier_attempts_go(tmp_path, source):
    target = tmp_path / "a.vxc"
    for name in temporary_names(str(target), HOW.job, 2):
        Path(name).write_bytes(b"half an archive")
    theirs = Path(temporary_name(str(target), "other", 1))
    theirs.write_bytes(b"of another job")
    assert compress_one(order(source, target, attempt=3), HOW, MODEL).ok
    assert names(tmp_path) == [theirs.name, "a.vxc", "in"]


def test_an_attempt_that_another_worker_has_begun(tmp_path, source):
    target = tmp_path / "a.vxc"
    theirs = Path(temporary_name(str(target), HOW.job, 1))
    theirs.write_bytes(b"half an archive")
    assert failed(compress_one(order(source, target), HOW, MODEL), Reason.CRASHED, "was lost")
    assert theirs.read_bytes() == b"half an archive"


def test_long_names(tmp_path, source):
    target = str(tmp_path / ("ä" * 125 + ".vxc"))
    assert compress_one(order(source, target), HOW, MODEL).ok
    assert len(storage.name(temporary_name(target, HOW.job, 1000)).encode()) <= 255


def test_vanished_and_denied(tmp_path, source, monkeypatch):
    target = tmp_path / "a.vxc"
    gone = tmp_path / "gone.root"
    assert failed(compress_one(order(gone, target), HOW, MODEL), Reason.VANISHED, str(gone))
    assert failed(compress_one(order(tmp_path, target), HOW, MODEL), Reason.DAMAGED, "folder")

    def remove(*args, **options):
        source.unlink()
        return vortex_hep.compress_file(*args, **options)

    monkeypatch.setattr("vortex_hep.batch.worker.work.compress_file", remove)
    assert failed(compress_one(order(source, target), HOW, MODEL), Reason.VANISHED, str(source))
    assert names(tmp_path) == ["in"]


def test_unreadable(tmp_path, source):
    target = tmp_path / "a.vxc"
    source.write_bytes(source.read_bytes()[:5000])
    outcome = compress_one(order(source, target), HOW, MODEL)
    assert failed(outcome, Reason.DAMAGED, str(source))
    assert names(tmp_path) == ["in"]


def test_being_written(tmp_path, source):
    target = tmp_path / "a.vxc"
    size = source.stat().st_size
    grown = compress_one(order(source, target, size=size - 1), HOW, MODEL)
    assert failed(grown, Reason.BEING_WRITTEN, f"has {size} bytes, and had {size - 1}")
    assert grown.source_size == size
    settle = dataclasses.replace(HOW, settle=1000.0)
    young = compress_one(order(source, target, size=size), settle, MODEL)
    assert failed(young, Reason.BEING_WRITTEN, "less than 1000 s ago")
    old = time.time() - 2000
    os.utime(source, (old, old))
    assert compress_one(order(source, target, size=size), settle, MODEL).ok


@pytest.mark.parametrize("change", ["append", "touch", "cut"])
def test_changed_while_it_is_read(tmp_path, source, monkeypatch, change):
    target = tmp_path / "a.vxc"

    def changing(*args, **options):
        report = vortex_hep.compress_file(*args, **options)
        if change == "append":
            with source.open("ab") as file:
                file.write(b"more")
        elif change == "touch":
            os.utime(source, (1, 1))
        else:  # comparing fails, and that is why
            source.write_bytes(source.read_bytes()[:5000])
        return report

    monkeypatch.setattr("vortex_hep.batch.worker.work.compress_file", changing)
    outcome = compress_one(order(source, target), HOW, MODEL)
    assert failed(outcome, Reason.BEING_WRITTEN, "changed while it was read")
    assert names(tmp_path) == ["in"]


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, Reason.NO_SPACE),
        (errno.EDQUOT, Reason.NO_SPACE),
        (errno.EACCES, Reason.NOT_WRITABLE),
        (errno.ECONNRESET, Reason.NETWORK),
    ],
)
def test_outputs_that_cannot_be_written(tmp_path, source, monkeypatch, number, reason):
    """However far the writing came, nothing of it is left."""
    create = storage.create

    @contextlib.contextmanager
    def failing(path, **options):
        with create(path, **options) as out:
            yield out
            error = OutputError("cannot be written", path=str(path))
            error.errno = number
            raise error

    monkeypatch.setattr(storage, "create", failing)
    assert failed(compress_one(order(source, tmp_path / "a.vxc"), HOW, MODEL), reason)
    assert names(tmp_path) == ["in"]


@pytest.mark.parametrize("verify", ["source", "checksum"])
def test_what_is_written_is_damaged(tmp_path, source, monkeypatch, verify):
    identity = storage.identity
    target = tmp_path / "a.vxc"

    def damaged(path, **options):
        if str(path).endswith(".part"):
            with open(path, "r+b") as file:  # noqa: PTH123
                file.seek(1000)
                file.write(b"\xff\x00\xff")
        return identity(path, **options)

    monkeypatch.setattr(storage, "identity", damaged)
    how = dataclasses.replace(HOW, verify=verify)
    outcome = compress_one(order(source, target), how, MODEL)
    assert failed(outcome, Reason.DIFFERENT, "were read back")
    assert names(tmp_path) == ["in"]


def test_what_is_written_differs(tmp_path, source, monkeypatch):
    """An archive of other values, whole in itself, is not taken."""
    other = tmp_path / "in" / "other.root"
    write_example(other, events=30, seed=8)
    monkeypatch.setattr(
        "vortex_hep.batch.worker.work.compress_file",
        lambda _, *args, **options: vortex_hep.compress_file(other, *args, **options),
    )
    outcome = compress_one(order(source, tmp_path / "a.vxc"), HOW, MODEL)
    assert failed(outcome, Reason.DIFFERENT, "and ")
    assert names(tmp_path) == ["in"]


@pytest.mark.parametrize(
    ("error", "reason", "text"),
    [
        (MemoryError(), Reason.MEMORY, "MemoryError"),
        (RuntimeError("a\nb"), Reason.OTHER, "RuntimeError: a b (at test_work.py:"),
    ],
)
def test_errors_of_other_kinds(tmp_path, source, monkeypatch, error, reason, text):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("vortex_hep.batch.worker.work.compress_file", fail)
    assert failed(compress_one(order(source, tmp_path / "a.vxc"), HOW, MODEL), reason, text)
    assert names(tmp_path) == ["in"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_end_that_is_asked_for(tmp_path, source, monkeypatch, error):
    def end(*_, **__):
        raise error

    monkeypatch.setattr("vortex_hep.batch.worker.work.compress_file", end)
    with pytest.raises(error):
        compress_one(order(source, tmp_path / "a.vxc"), HOW, MODEL)
    assert names(tmp_path) == ["in"]


def test_verify(tmp_path, source):
    archive = tmp_path / "a.vxc"
    compressed = compress_one(order(source, archive), HOW, MODEL)
    how = WorkOptions("verify", "j0b")
    for against in (None, str(source)):
        outcome = verify_one(Order(1, str(archive), against, 1, None, None), how, None)
        assert outcome.ok, outcome.error
        assert outcome.source_adler32 == compressed.target_adler32
        assert outcome.groups == compressed.groups
        assert outcome.target_size == (against and compressed.source_size)
    other = tmp_path / "other.root"
    write_example(other, events=30, seed=8)
    assert failed(verify_one(order(archive, other), how, None), Reason.DIFFERENT, "more differ")
    assert failed(verify_one(order(archive, tmp_path / "no"), how, None), Reason.VANISHED, "no")
    archive.write_bytes(archive.read_bytes()[:-1])
    assert failed(verify_one(order(archive, source), how, None), Reason.DAMAGED, str(archive))


def test_restore(tmp_path, source):
    archive, target = tmp_path / "a.vxc", tmp_path / "back" / "a.root"
    source.write_bytes(b"bytes\0" * 1000)
    assert compress_one(order(source, archive), dataclasses.replace(HOW, exact=True), MODEL).ok
    how = WorkOptions("restore", "j0b", exact=True)
    leftover = Path(temporary_name(str(target), how.job, 1))
    leftover.mkdir(parents=True)
    (leftover / "restored").write_bytes(b"half a file")
    outcome = restore_one(order(archive, target, attempt=2), how, None)
    assert outcome.ok, outcome.error
    assert target.read_bytes() == source.read_bytes()
    assert outcome.target_adler32 == storage.identity(str(source)).adler32
    assert names(target.parent) == ["a.root"]
    again = restore_one(order(archive, target), how, None)
    assert again.ok
    assert again.adopted
    target.write_bytes(b"something else")
    assert failed(restore_one(order(archive, target), how, None), Reason.EXISTS, "exists, and is")
    overwrite = dataclasses.replace(how, overwrite=True)
    assert restore_one(order(archive, target), overwrite, None).ok
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.network
def test_over_the_network(xrootd: XrootdServer, tmp_path, example):
    shutil.copyfile(example, xrootd.root / "a.root")
    source, target = xrootd.url("data/a.root"), xrootd.url("data/out/deep/a.vxc")
    outcome = compress_one(order(source, target), HOW, MODEL)
    assert outcome.ok, outcome.error
    assert vortex_hep.verify(target, against=str(example)).ok
    assert compress_one(order(source, target, attempt=2), HOW, MODEL).adopted
    how = WorkOptions("restore", "j0b", exact=True)
    back = restore_one(order(target, xrootd.url("data/back/a.root")), how, None)
    assert back.ok, back.error
    assert vortex_hep.verify(target, against=xrootd.url("data/back/a.root")).ok
    found = sorted(str(p.relative_to(xrootd.root)) for p in xrootd.root.rglob("*") if p.is_file())
    assert found == ["a.root", "back/a.root", "out/deep/a.vxc"]
    (xrootd.root / "a.root").chmod(0)
    denied = compress_one(order(source, xrootd.url("data/b.vxc")), HOW, MODEL)
    assert failed(denied, Reason.DENIED, source)
    down = f"root://127.0.0.1:{free_port()}//data/a.root"
    assert failed(compress_one(order(down, tmp_path / "a.vxc"), HOW, MODEL), Reason.NETWORK, down)
    lost = f"root://127.0.0.1:{free_port()}//data/a.vxc"
    assert failed(compress_one(order(example, lost), HOW, MODEL), Reason.NETWORK, lost)
    assert names(tmp_path) == []
