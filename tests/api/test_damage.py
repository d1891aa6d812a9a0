"""Tests of damaged files: an error always, never wrong data."""

import copy
import gc
import io
import threading
from pathlib import Path

import numpy as np
import pytest

import vortex_hep
from vortex_hep.codec.container.container import ContainerReader, ContainerWriter
from vortex_hep.errors import TruncatedError, VortexError


class Counted(io.BytesIO):
    """Bytes that count how often they are read."""

    reads = 0

    def read(self, *args):
        self.reads += 1
        return super().read(*args)

    def readinto(self, buffer):
        self.reads += 1
        return super().readinto(buffer)


def read_all(data):
    """Open and decode everything; ``data`` are bytes or a file."""
    with vortex_hep.open(
        io.BytesIO(data) if isinstance(data, bytes) else data, threads=1
    ) as archive:
        archive.reader.verify()
        for tree in archive.coded.values():
            for number in range(len(tree.clusters)):
                tree.check(number)
        for _ in archive.remainder():
            pass
        archive.info()


def test_the_sound_archive_reads(tiny_archive):
    read_all(tiny_archive)


def test_every_prefix_is_refused(tiny_archive):
    sound = Counted(tiny_archive)
    read_all(sound)
    assert sound.reads > 0
    for size in range(len(tiny_archive)):
        cut = Counted(tiny_archive[:size])
        with pytest.raises(VortexError) as caught:
            read_all(cut)
        assert size < 64 or isinstance(caught.value, TruncatedError), (size, caught.value)
        assert cut.reads <= sound.reads, "nothing is searched for in what is cut"


def test_every_flipped_byte_is_found(tiny_archive):
    masks = (0x01, 0xFF, 0x80, 0x10)
    for at in range(len(tiny_archive)):
        damaged = bytearray(tiny_archive)
        damaged[at] ^= masks[at % len(masks)]
        with pytest.raises(VortexError):
            read_all(bytes(damaged))


def test_a_reader_of_some_branches_gets_the_truth_or_an_error(tiny_archive):
    with vortex_hep.open(io.BytesIO(tiny_archive)) as archive:
        truth = archive["Events"].arrays("T_b").T_b.to_list()
    errors = 0
    for at in range(0, len(tiny_archive), 7):
        damaged = bytearray(tiny_archive)
        damaged[at] ^= 0x20
        try:
            with vortex_hep.open(io.BytesIO(bytes(damaged)), threads=1) as archive:
                assert archive["Events"].arrays("T_b").T_b.to_list() == truth
        except VortexError:
            errors += 1
    assert errors > 0


def resigned(data, number, payload):
    """The archive with another payload in one chunk and all stored checksums made to fit."""
    reader = ContainerReader(io.BytesIO(data))
    out = io.BytesIO()
    writer = ContainerWriter(out, kind=reader.kind)
    for i, row in enumerate(reader.chunks):
        writer.add(
            int(row["kind"]),
            payload if i == number else reader.read(i),
            decoded_xxh3=int(row["decoded_xxh3"]),
            decoded_size=int(row["decoded_size"]),
        )
    writer.finish(reader.metadata)
    return out.getvalue()


def test_damage_that_checksums_of_the_file_do_not_show(tiny_archive):
    """Somebody's bug, or malice: decoders get garbage, and raise what is to be raised."""
    rng = np.random.default_rng(3)
    reader = ContainerReader(io.BytesIO(tiny_archive))
    for number in range(len(reader.chunks)):
        payload = reader.read(number)
        for trial in range(min(300, 2 * len(payload))):
            changed = bytearray(payload)
            at = trial if trial < 60 and trial < len(changed) else int(rng.integers(len(changed)))
            changed[at] ^= int(rng.integers(1, 256))
            if trial % 10 == 9:
                del changed[at:]
            try:
                read_all(resigned(tiny_archive, number, bytes(changed)))
            except VortexError:
                continue
            # Nothing raised: then what was decoded is what was encoded, by its own checksum.


WRONG: tuple[object, ...] = (None, -1, 10**6, "x", [], {}, [[]], 1.5, 2**70)


def test_metadata_that_make_no_sense(tiny_archive):
    reader = ContainerReader(io.BytesIO(tiny_archive))

    def places(value, path=()):
        yield path
        if isinstance(value, dict):
            for key, item in value.items():
                yield from places(item, (*path, key))
        elif isinstance(value, list):
            for key, item in enumerate(value):
                yield from places(item, (*path, key))

    payloads = [reader.read(i) for i in range(len(reader.chunks))]
    for path in places(reader.metadata):
        if not path:
            continue
        for wrong in WRONG:
            document = copy.deepcopy(reader.metadata)
            parent = document
            for key in path[:-1]:
                parent = parent[key]
            parent[path[-1]] = wrong
            out = io.BytesIO()
            writer = ContainerWriter(out, kind=reader.kind)
            for row, payload in zip(reader.chunks, payloads, strict=True):
                writer.add(
                    int(row["kind"]), payload,
                    decoded_xxh3=int(row["decoded_xxh3"]), decoded_size=int(row["decoded_size"]),
                )  # fmt: skip
            writer.finish(document)
            try:
                read_all(out.getvalue())
            except VortexError:
                continue


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc")
def test_open_leaves_nothing_behind(tiny_archive, tmp_path):
    path = tmp_path / "cut.vxc"
    path.write_bytes(tiny_archive[:-1])
    threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(VortexError):
            vortex_hep.open(path)
    with vortex_hep.open(io.BytesIO(tiny_archive)) as archive:
        archive["Events"].arrays()
    gc.collect()
    assert threading.active_count() <= threads  # those of tests before may end meanwhile
    assert len(list(Path("/proc/self/fd").iterdir())) <= files
