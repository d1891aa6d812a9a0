"""Tests of imports: nothing heavy without need, no torch for reading, layers in order."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vortex_hep

ROOT = Path(vortex_hep.__file__).parent

SCRIPT = """
import sys
{work}
print(*(name for name in {names!r} if name in sys.modules))
"""


def loaded(work, *names):
    """Those of ``names`` that are loaded once ``work`` has run in a fresh interpreter."""
    script = SCRIPT.format(work=work, names=names)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_importing_the_package_imports_nothing_heavy():
    heavy = ("numpy", "numba", "torch", "uproot", "awkward", "fsspec")
    assert loaded("import vortex_hep; vortex_hep.VortexError", *heavy) == []


def test_reading_needs_neither_torch_nor_uproot(tiny_archive, tmp_path):
    path = tmp_path / "tiny.vxc"
    path.write_bytes(tiny_archive)
    work = f"import vortex_hep; vortex_hep.open({str(path)!r})['Events'].arrays(library='np')"
    assert loaded(work, "torch", "uproot", "numba") == ["numba"]


def test_compressing_with_a_model_restoring_and_verifying_do_not_import_torch(
    twins_file, twins_model, tmp_path
):
    twins_model.save(tmp_path / "m.vxm")
    a, r, m = str(tmp_path / "a.vxc"), str(tmp_path / "r.root"), str(tmp_path / "m.vxm")
    work = f"""
import vortex_hep as v
v.compress_file({str(twins_file)!r}, {a!r}, model=v.Model.load({m!r}), device="auto")
v.restore({a!r}, {r!r})
assert v.verify({a!r}, against={r!r}).ok
"""
    assert loaded(work, "torch") == []


def test_the_package_neither_prints_nor_asserts():
    for path in sorted(ROOT.rglob("*.py")):
        if path.relative_to(ROOT).parts[0] == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, ast.Assert), path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", path


def test_every_public_name_is_there():
    for name in vortex_hep.__all__:
        assert getattr(vortex_hep, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = vortex_hep.nope
