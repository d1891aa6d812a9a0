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


def imports(path):
    """Modules that a file imports: (name, whether at module level)."""
    tree = ast.parse(path.read_text())
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            yield module, id(node) in top
            yield from ((f"{module}.{alias.name}", id(node) in top) for alias in node.names)


FILES = sorted(ROOT.rglob("*.py"))
#: What the training loop of byte-level models is made of.
LOOP = ("data", "feed", "loop", "precision", "snapshot", "steps")
#: What gives archives to training loops.
SERVING = {"analysis/tensors/dataset.py", "analysis/tensors/entries.py"}
#: How a transformer becomes integers, and one of the engines that compute these.
OF_SEQUENCES = ("sequence/fit", "sequence/quantise", "sequence/torch_operations")
#: Codec modules that import torch within functions, where a tensor is at hand or asked for.
AT_NEED = {"codec/weights/zipnn/tensors.py"}
#: The codec module that is about tensors; no other module imports it.
OF_TENSORS = "codec/arithmetic_coding.py"


#: What stands above files and knows nothing to the layer that fetches them.
ABOVE_STORAGE = ("codec", "nn", "readers", "archive", "compressing", "restoring", "schema")
#: Layers that put the interface to use; what is below does not need them.
USERS = ("analysis", "batch", "cli", "hdf5view", "tensors")


def within(name, package):
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_layers(path):
    place = path.relative_to(ROOT)
    layer = place.parts[0].removesuffix(".py")
    forbidden = {
        "codec": ["torch", "vortex_hep.readers"],
        "readers": ["torch", "vortex_hep.nn"],
        "nn": ["vortex_hep.readers"],
        "schema": ["torch", "vortex_hep.nn", "vortex_hep.codec", "vortex_hep.readers"],
        "errors": ["numpy", "vortex_hep"],
        "storage": ["torch", "dask", *(f"vortex_hep.{n}" for n in ABOVE_STORAGE)],
    }.get(layer, [])
    if layer not in (*USERS, "__init__", "__main__"):
        forbidden = [*forbidden, *(f"vortex_hep.{n}" for n in USERS)]
    if layer in ("analysis", "hdf5view", "tensors"):
        forbidden = [*forbidden, "vortex_hep.batch", "vortex_hep.cli"]
    for name, at_top in imports(path):
        if str(place) in AT_NEED and not at_top and within(name, "torch"):
            continue
        if str(place) == OF_TENSORS and within(name, "torch"):
            continue
        assert not within(name, "vortex_hep.codec.arithmetic_coding"), f"{place} imports {name}"
        for package in ("pipelines", "benchmarks", "tests", *forbidden):
            assert not within(name, package), f"{place} imports {name}"


def test_only_training_and_the_torch_engine_import_torch_at_once():
    users = {
        str(p.relative_to(ROOT))
        for p in FILES for name, at_top in imports(p) if at_top and within(name, "torch")
    }  # fmt: skip
    names = ("torch_engine", "torch_loss", "trainer", *LOOP, *OF_SEQUENCES)
    users = {u for u in users if not u.startswith("nn/transformer/")}
    assert users <= {f"nn/{n}.py" for n in names} | {OF_TENSORS, *SERVING}


def test_the_package_neither_prints_nor_asserts():
    for path in FILES:
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
