"""Tests of files that are still open when the interpreter ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Ways to leave files open; a process takes all of one group, as each starts an interpreter.
LEFT = {
    "by reference": """
f = vortex_hep.h5(path)
f['jets'][:3]
never_read = vortex_hep.h5(path)

def read(g=vortex_hep.h5(path)):  # a default argument
    return g['tracks'][:3]

read()
only_a_dataset = vortex_hep.h5(path)['jets']
only_a_dataset[0]
only_attributes = vortex_hep.h5(path)['jets'].attrs
list(only_attributes)
only_a_type = vortex_hep.h5(path)['jets'].id.get_type().get_member_type(0)
closed = vortex_hep.h5(path)
closed['jets'][0]
closed.close()
read_by_h5py = vortex_hep.h5(path)
other = h5py.File('of no name', 'w', driver='core', backing_store=False)
read_by_h5py.copy('bookkeeper', other)
sys.kept = vortex_hep.h5(path)  # out of reach of what clears modules
sys.kept['jets'][0]
sys.exit(0)
""",
    "by cycles": """
import gc
gc.disable()

class Holder:
    pass

for read in False, True:
    holder = Holder()
    holder.file, holder.itself = vortex_hep.h5(path), holder
    if read:
        holder.file['jets']['pt', 7]
    del holder
""",
    "by threads and functions that are called last": """
import atexit, threading

def wait(f):
    f['jets'][0]
    begun.set()
    threading.Event().wait()

begun = threading.Event()
threading.Thread(target=wait, args=(vortex_hep.h5(path),), daemon=True).start()
begun.wait()
f = vortex_hep.h5(path)
atexit.register(lambda: [f[name].shape for name in ('jets', 'tracks')])
""",
    "by errors": """
import pathlib
data = pathlib.Path(path).read_bytes()
kept = []
for at in range(200, len(data) - 200, len(data) // 40):
    bad = bytearray(data)
    bad[at] ^= 255
    damaged = pathlib.Path(sys.argv[2])
    damaged.write_bytes(bad)
    try:
        kept.append(vortex_hep.h5(damaged))
        kept[-1]['tracks'][()]
    except vortex_hep.VortexError as error:
        error.itself = error
        kept.append(error)
if not any(isinstance(one, Exception) for one in kept):
    sys.exit('nothing was damaged')
kept.append(kept)
""",
}


def ends_cleanly(script, *arguments):
    """Assert that a script ends with code 0 and has nothing to say."""
    begin = "import sys, h5py, vortex_hep; path = sys.argv[1]\n"
    run = subprocess.run(
        [sys.executable, "-c", begin + script, *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("left", LEFT)
def test_files_left_open(flavtag, tmp_path, left):
    ends_cleanly(LEFT[left], flavtag / "jets.vxc", tmp_path / "damaged.vxc")


@pytest.mark.network
def test_files_on_a_server_left_open(flavtag, xrootd):
    (xrootd.root / "jets.vxc").write_bytes((flavtag / "jets.vxc").read_bytes())
    script = """
f = vortex_hep.h5(path)
f['jets'][0]
sys.kept = vortex_hep.h5(path)
"""
    ends_cleanly(script, xrootd.url("data/jets.vxc"))
