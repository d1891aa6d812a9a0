"""Tests of HDF5 files over Python objects: closed when unused, or at the interpreter's end."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
import weakref

import h5py
import numpy as np
import pytest

from vortex_hep.core.storage.failstop import FailStopSource, SourceFile
from vortex_hep.core.storage.local import PathSource
from vortex_hep.errors import NetworkError
from vortex_hep.readers.hdf5.pythonfile import open_python_file

#: What a program leaves open: ``path`` is a file, ``url`` the same one by fsspec.
LEFT = """
import gc, io, sys, threading, fsspec, h5py
from vortex_hep.readers import open_source
from vortex_hep.readers.hdf5.pythonfile import open_python_file

path, url = sys.argv[1], 'memory://in.h5'
with open(path, 'rb') as file:
    image = file.read()
fsspec.filesystem('memory').pipe('/in.h5', image)
gc.disable()

source = open_source(url)
sys.kept = open_source(h5py.File.in_memory(image))
cycle = [open_source(url)]
cycle.append(cycle)
del cycle

def wait(source):
    begun.set()
    threading.Event().wait()

begun = threading.Event()
threading.Thread(target=wait, args=(open_source(url),), daemon=True).start()
begun.wait()

class Bytes(io.BytesIO):
    def holder(self):
        return dataset

dataset = open_python_file(Bytes(image))['values']
dataset[0]
kind = open_python_file(Bytes(image))['kind']
"""


@pytest.fixture
def values(tmp_path):
    path = tmp_path / "in.h5"
    with h5py.File(path, "w") as file:
        file["values"] = np.arange(30_000.0)
        file["kind"] = np.dtype("<f4")
    return path


def test_what_is_open_as_the_interpreter_ends(values):
    run = subprocess.run(
        [sys.executable, "-c", LEFT, str(values)], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


class Lost:
    """A source that the network loses after some reads."""

    def __init__(self, path, reads):
        self._inner, self._left = PathSource(path), reads
        self.name, self.size = self._inner.name, self._inner.size

    def read_ranges(self, ranges):
        self._left -= 1
        if self._left < 0:
            raise NetworkError("lost", path=self.name)
        return self._inner.read_ranges(ranges)

    def close(self):
        self._inner.close()


@pytest.mark.parametrize("reads", range(3))
def test_a_source_that_keeps_its_failure_is_let_go(values, reads, monkeypatch):
    """The library's own hold on it is none that garbage collection sees."""
    monkeypatch.setattr("vortex_hep.core.storage.failstop._BLOCK", 512)
    source = FailStopSource(Lost(values, reads))
    file = SourceFile(source)
    gone = weakref.ref(file)
    with pytest.raises(NetworkError), open_python_file(file) as opened:
        opened["values"][()]
    assert source.failure is not None
    source.close()
    del file, source
    gc.collect()
    assert gone() is None


def test_a_dataset_keeps_its_file_open(values):
    dataset = open_python_file(io.BytesIO(values.read_bytes()))["values"]
    gc.collect()
    assert dataset[7] == 7
