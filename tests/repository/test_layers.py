"""Layers of the package: each module belongs to one, and imports only what lies below it.

CONTRIBUTING.md draws the same map. An import counts wherever it stands: at module level, within a
function, or for types only.
"""

from __future__ import annotations

import pytest

from tests.repository.imports import ROOT, cycles, imports, modules, names_imported

SHARED = ("errors", "core", "core.storage")
NETWORKS = ("nn", "nn.event", "nn.transformer", "nn.loop", "nn.sequence", "nn.coding")

#: All layers, lowest first, with the layers that each may import beside itself.
LAYERS: dict[str, tuple[str, ...]] = {
    "errors": (),
    "core": ("errors",),
    "core.storage": ("errors", "core"),
    "codec": SHARED,
    "nn": (*SHARED, "codec"),
    "nn.event": (*SHARED, "codec", "nn"),
    "nn.transformer": (*SHARED, "codec", "nn"),
    "nn.loop": (*SHARED, "codec", "nn", "nn.transformer"),
    "nn.sequence": (*SHARED, "codec", "nn", "nn.event", "nn.transformer", "nn.loop"),
    "nn.coding": (*SHARED, "codec", *NETWORKS[:-1]),
    "readers": SHARED,
    "models": (*SHARED, "codec", *NETWORKS, "readers"),
    "archive": (*SHARED, "codec", *NETWORKS, "readers", "models"),
    "analysis": (*SHARED, "readers", "models", "archive"),
    "batch": (*SHARED, "codec", "readers", "models", "archive"),
    # The package itself: what `import vortex_hep` offers.
    "face": (*SHARED, "nn.sequence", "models", "archive", "analysis", "batch"),
    "testing": (*SHARED, "codec", *NETWORKS, "readers", "models", "archive", "face"),
    "cli": (*SHARED, "codec", *NETWORKS, "models", "archive", "batch", "testing", "face"),
}

#: Imports against the layers, each with its reason.
UPWARD: dict[tuple[str, str], str] = {}

#: Modules that import each other once lazy imports count, each circle with its reason.
LAZY_CYCLES: dict[frozenset[str], str] = {}

#: Modules or folders that import torch at module level: networks on tensors, and what feeds these.
WITH_TORCH = (
    "vortex_hep.nn.transformer", "vortex_hep.nn.loop", "vortex_hep.nn.event.training.torch_loss",
    "vortex_hep.nn.event.training.trainer", "vortex_hep.nn.coding.torch_engine",
    "vortex_hep.nn.sequence.fit", "vortex_hep.nn.sequence.quantise",
    "vortex_hep.nn.sequence.torch_operations", "vortex_hep.analysis.tensors",
    "vortex_hep.codec.arithmetic_coding",
)  # fmt: skip
#: Layers that import torch nowhere, with the modules that may where a tensor is at hand.
WITHOUT_TORCH = {
    "errors": (), "core": (), "core.storage": (), "readers": (),
    "codec": (
        "vortex_hep.codec.arithmetic_coding", "vortex_hep.codec.weights.files",
        "vortex_hep.codec.weights.zipnn.tensors",
    ),
}  # fmt: skip


def layer_of(module: str) -> str:
    """The layer of a module: the longest that its name begins with."""
    if module in ("vortex_hep", "vortex_hep.__main__"):
        return "face" if module == "vortex_hep" else "cli"
    name = module.removeprefix("vortex_hep.")
    fitting = [layer for layer in LAYERS if within(name, layer)]
    assert fitting, f"{module} belongs to no layer"
    return max(fitting, key=len)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_layers_are_listed_from_the_lowest():
    order = list(LAYERS)
    for layer, below in LAYERS.items():
        assert all(order.index(other) < order.index(layer) for other in below), layer


def test_no_import_goes_up():
    wrong = []
    for found in imports():
        own, layer = layer_of(found.importer), layer_of(found.imported)
        if layer != own and layer not in LAYERS[own]:
            wrong.append((found.importer, found.imported))
    assert sorted(wrong) == sorted(UPWARD)


def test_no_cycles():
    every: dict[str, set[str]] = {module: set() for module in modules()}
    at_once: dict[str, set[str]] = {module: set() for module in modules()}
    for found in imports():
        every[found.importer].add(found.imported)
        if not found.lazy:
            at_once[found.importer].add(found.imported)
    assert cycles(at_once) == []
    # What the package offers is imported on use by the package's own face.
    every["vortex_hep"] = set()
    assert {frozenset(cycle) for cycle in cycles(every)} == set(LAZY_CYCLES)


def test_cycles_are_found():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == [["b", "c"]]


@pytest.mark.parametrize("module", modules())
def test_outside_of_the_package(module):
    layer = layer_of(module)
    for name, at_top in names_imported(modules()[module]):
        for outside in ("pipelines", "benchmarks", "tests"):
            assert not within(name, outside), f"{module} imports {name}"
        if within(name, "torch") and at_top:
            assert any(within(module, home) for home in WITH_TORCH), f"{module} imports {name}"
        if within(name, "torch") and layer in WITHOUT_TORCH:
            assert module in WITHOUT_TORCH[layer], f"{module} imports {name}"
        if within(name, "numpy"):
            assert layer != "errors"
        if within(name, "dask") or within(name, "distributed"):
            assert layer in ("analysis", "batch"), f"{module} imports {name}"
        if within(name, "vortex_hep.codec.arithmetic_coding"):
            assert module == "vortex_hep.codec.arithmetic_coding", f"{module} imports {name}"


def test_folders_can_be_overlooked():
    shown = [p for p in ROOT.iterdir() if p.name != "__pycache__"]
    assert len(shown) <= 14, sorted(p.name for p in shown)
    for folder in {path.parent for path in modules().values()}:
        inside = [p for p in folder.glob("*.py") if p.name != "__init__.py"]
        assert len(inside) <= 16, f"{folder} has {len(inside)} modules"
