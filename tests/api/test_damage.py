"""Tests of damaged files: an error always, never wrong data."""

import gc
import io
import threading
from pathlib import Path

import pytest

import vortex_hep
from vortex_hep.errors import VortexError
from vortex_hep.testing import (
    check_cuts,
    check_flips,
    check_hostile_metadata,
    check_hostile_payloads,
)
from vortex_hep.testing.conformance.archives import cut_errors, read_everything


def test_the_sound_archive_reads(tiny_archive):
    read_everything(tiny_archive)


class Counted(io.BytesIO):
    """Bytes that count how often they are read."""

    reads = 0

    def read(self, *args):
        self.reads += 1
        return super().read(*args)

    def readinto(self, buffer):
        self.reads += 1
        return super().readinto(buffer)


def test_every_prefix_is_refused(tiny_archive):
    reads = []

    def read(data):
        file = Counted(data)
        try:
            read_everything(file)
        finally:
            reads.append(file.reads)

    check_cuts(tiny_archive, read, errors=cut_errors)
    sound, *cut = reads
    assert len(cut) == len(tiny_archive)
    assert 0 < max(cut) <= sound, "nothing is searched for in what is cut"


@pytest.mark.slow
def test_every_flipped_byte_is_found(plain_archive):
    check_flips(plain_archive, read_everything, masks=(0x01, 0xFF, 0x80, 0x10))


@pytest.mark.slow
def test_flipped_bytes_of_an_archive_with_a_network_are_found(tiny_archive):
    check_flips(
        tiny_archive,
        read_everything,
        range(0, len(tiny_archive), 5),
        masks=(0x01, 0xFF, 0x80, 0x10),
    )


def test_a_reader_of_some_branches_gets_the_truth_or_an_error(tiny_archive):
    raised = []

    def read(data):
        with vortex_hep.open(io.BytesIO(data), threads=1) as archive:
            return archive["Events"].arrays("T_b").T_b.to_list()

    check_flips(
        tiny_archive, read, range(0, len(tiny_archive), 23), masks=(0x20,), unnoticed="same",
        inspect=lambda damage, error: raised.append(damage),
    )  # fmt: skip
    assert raised


@pytest.mark.slow
def test_damage_that_checksums_of_the_file_do_not_show(tiny_archive):
    check_hostile_payloads(tiny_archive, trials=100)


@pytest.mark.slow
def test_metadata_of_other_types_and_sizes(tiny_archive):
    check_hostile_metadata(tiny_archive)


def descriptors_of(path):
    """This process's descriptors of one file, whatever else other tests have left open."""
    found = []
    for number in Path("/proc/self/fd").iterdir():
        try:
            target = number.readlink()
        except OSError:  # closed meanwhile; that of the folder itself always is
            continue
        if target == path.resolve():
            found.append(number.name)
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc")
def test_open_leaves_nothing_behind(tiny_archive, tmp_path):
    path = tmp_path / "cut.vxc"
    path.write_bytes(tiny_archive[:-1])
    before = set(threading.enumerate())
    for _ in range(5):
        with pytest.raises(VortexError):
            vortex_hep.open(path)
    path.write_bytes(tiny_archive)
    with vortex_hep.open(path) as archive:
        archive["Events"].arrays()
        assert descriptors_of(path)
    gc.collect()
    assert not [thread.name for thread in threading.enumerate() if thread not in before]
    assert not descriptors_of(path)
