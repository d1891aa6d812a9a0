"""Machine code from the cache is that of the sources, whichever module of a kernel changes."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numba
import pytest

import vortex_hep
from vortex_hep.core import compiled

MODULES = {
    "__init__": "",
    "unrelated": "NUMBER = 1",
    "constants": "FACTOR = 2",
    "shapes": """
from typing import NamedTuple

class Pair(NamedTuple):
    a: int
    b: int
""",
    "building": "def number(kind): return kind(7)",
    "instructions": """
from numba.core import types
from small import building
from vortex_hep.core.compiled import intrinsic

@intrinsic
def seven(typing_context):
    def generate(context, builder, signature, args):
        return building.number(context.get_value_type(types.int64))
    return types.int64(), generate
""",
    "pieces": """
from vortex_hep.core.compiled import kernel, part

@part
def inlined(x): return x + 1

@kernel
def called(x): return x + 10
""",
    "top": """
from small import constants, unrelated
from small.instructions import seven
from small.pieces import called, inlined
from vortex_hep.core.compiled import kernel

@kernel
def total(pair): return called(inlined(pair.a)) + 100 * constants.FACTOR + 1000 * seven()
""",
}
RUN = """
from small.shapes import Pair
from small.top import total
print(total(Pair(a=5, b=6)), sum(total.stats.cache_hits.values()), total.stats.cache_path)
"""
FIRST = 5 + 1 + 10 + 200 + 7000


def edit(folder, module, old, new):
    path = folder / "small" / f"{module}.py"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.fixture
def folder(tmp_path):
    """A folder with a small package of kernels."""
    (tmp_path / "small").mkdir()
    for name, text in MODULES.items():
        (tmp_path / "small" / f"{name}.py").write_text(text)
    return tmp_path


def run(folder, script=RUN, **variables):
    """Result of the kernel in a fresh process, how often the cache had it, and where."""
    names = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    paths = os.pathsep.join([str(folder), str(Path(vortex_hep.__file__).parents[1])])
    # Python's own cache takes a file that keeps its size within a second for unchanged.
    environment = names | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"} | variables
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        cwd=folder, env=environment,
    )  # fmt: skip
    value, hits, where = done.stdout.split()
    return int(value), int(hits), where


@pytest.mark.slow
def test_an_index_of_types_that_are_gone_is_stale(folder):
    assert run(folder)[0] == FIRST
    edit(folder, "shapes", "class Pair", "class Couple")
    assert run(folder, RUN.replace("Pair", "Couple"))[:2] == (FIRST, 0)


def test_a_change_of_what_a_kernel_calls_is_seen(folder):
    in_tree = str(folder / "small" / "__pycache__")
    assert run(folder) == (FIRST, 0, in_tree)
    edit(folder, "unrelated", "1", "2")
    assert run(folder) == (FIRST, 1, in_tree)
    edit(folder, "pieces", "x + 10", "x + 20")
    assert run(folder) == (FIRST + 10, 0, in_tree)


def stamp(folder, monkeypatch):
    """Fingerprint of the kernel, from modules that are imported anew."""
    for name in [n for n in sys.modules if n.partition(".")[0] == "small"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    compiled._source.cache_clear()
    top = importlib.import_module("small.top")
    for name in [n for n in sys.modules if n.partition(".")[0] == "small"]:
        monkeypatch.setitem(sys.modules, name, sys.modules[name])  # so that it is undone
    return compiled.fingerprint(top.total.py_func)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("top", "1000 *", "2000 *"),
        ("pieces", "x + 10", "x + 20"),
        ("pieces", "x + 1\n", "x + 2\n"),
        ("constants", "2", "3"),
        ("instructions", "int64()", "int32()"),
        ("building", "7", "8"),
    ],
)
def test_a_change_of_anything_that_a_kernel_contains_changes_its_stamp(
    folder, monkeypatch, module, old, new
):
    before = stamp(folder, monkeypatch)
    assert before is not None
    edit(folder, "unrelated", "1", "2")
    assert stamp(folder, monkeypatch) == before
    edit(folder, module, old, new)
    assert stamp(folder, monkeypatch) not in (before, None)


def test_fields_of_named_tuples_belong_to_a_signature():
    class Pair(NamedTuple):
        a: int
        b: float

    class Outer(NamedTuple):
        pair: Pair
        numbers: tuple[int, int]

    outer = numba.typeof(Outer(Pair(1, 2.0), (3, 4)))
    assert list(compiled._fields((outer, numba.int64))) == [("pair", "numbers"), ("a", "b")]


@pytest.mark.slow
def test_a_change_while_a_process_runs_is_not_taken_for_what_it_runs(folder):
    script = f"""
from pathlib import Path
from small.top import total
path = Path({str(folder / "small" / "pieces.py")!r})
path.write_text(path.read_text().replace("x + 10", "x + 20"))
{RUN}
"""
    assert run(folder, script)[:2] == (FIRST, 0)
    assert run(folder)[:2] == (FIRST + 10, 0)


def test_the_cache_is_where_numba_puts_it(folder):
    chosen = folder / "chosen"
    value, hits, where = run(folder, NUMBA_CACHE_DIR=str(chosen))
    assert (value, hits) == (FIRST, 0)
    assert where.startswith(str(chosen))
    assert list(Path(where).glob("top.total-*.nbc"))
    assert not (folder / "small" / "__pycache__").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="folders of users are found in other ways")
def test_installations_that_cannot_be_written(folder):
    (folder / "small" / "__pycache__").write_text("a file, not a folder")
    value, hits, where = run(folder, XDG_CACHE_HOME=str(folder / "users"))
    assert (value, hits) == (FIRST, 0)
    assert where.startswith(str(folder / "users"))
    nowhere = str(folder / "small" / "top.py")
    assert run(folder, XDG_CACHE_HOME=nowhere) == (FIRST, 0, "None")


def test_all_kernels_of_the_package_are_made_here():
    root = Path(vortex_hep.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if path != root / "core" / "compiled.py":
            assert not re.search(r"\bn?jit\(|numba import .*(jit|intrinsic)", path.read_text()), (
                path
            )


@pytest.mark.parametrize("left", [0, 30, 1000])
def test_files_of_the_cache_that_were_cut_are_made_anew(folder, left):
    first = run(folder)
    for path in Path(first[2]).glob("*.nb*"):
        path.write_bytes(path.read_bytes()[:left])
    assert run(folder) == first
    assert run(folder)[1] == 1


FULL = """
import errno, warnings
from numba.core import caching

def fail(self, path):
    raise OSError(errno.ENOSPC, "No space left on device")

caching.IndexDataCacheFile._open_for_write = fail
from small.pieces import called
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    results = [called(number) for number in (1, 2.0)]
print(int(sum(results)), len(found), found[0].message.args[0].replace(" ", "_"))
"""


def test_a_full_disk_is_told_once_and_stops_nothing(folder):
    value, warnings, message = run(folder, FULL)
    assert (value, warnings) == (23, 1)
    assert "No_space_left" in message
    assert "NUMBA_CACHE_DIR" in message
