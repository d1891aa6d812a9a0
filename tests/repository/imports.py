"""The imports of the package's modules, read from their source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import vortex_hep

ROOT = Path(vortex_hep.__file__).parent


@dataclass(frozen=True)
class Import:
    """One module that names another; ``lazy`` where not at module level or for types only."""

    importer: str
    imported: str
    lazy: bool


@cache
def modules() -> Mapping[str, Path]:
    """Source files by dotted name."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def statements(path: Path) -> tuple[tuple[ast.Import | ast.ImportFrom, bool], ...]:
    """Import statements of a file, and whether each stands at module level."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    return tuple(
        (node, id(node) in top)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    )


def names_imported(path: Path) -> Iterator[tuple[str, bool]]:
    """Give all names a file imports, and whether at module level."""
    for node, at_top in statements(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_top) for alias in node.names)
        else:
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            yield module, at_top
            yield from ((f"{module}.{alias.name}", at_top) for alias in node.names)


@cache
def imports() -> tuple[Import, ...]:
    """Imports of the package's modules by each other.

    ``from package import module`` is an import of the module, not of the package.
    """
    known = modules()
    found = {}
    for importer, path in known.items():
        named: dict[str, bool] = {}
        for name, at_top in names_imported(path):
            if name in known and name != importer:
                named[name] = named.get(name, False) or at_top
        for name in [n for n in named if any(m.startswith(n + ".") for m in named)]:
            if known[name].name == "__init__.py" and not _takes_names_of(path, name):
                del named[name]
        for name, at_top in named.items():
            found[importer, name] = Import(importer, name, not at_top)
    return tuple(found.values())


def _takes_names_of(path: Path, package: str) -> bool:
    """Tell whether a file imports something from a package that is no module of it."""
    for node, _ in statements(path):
        if isinstance(node, ast.Import) and any(alias.name == package for alias in node.names):
            return True
        if (
            isinstance(node, ast.ImportFrom)
            and node.module == package
            and any(f"{package}.{alias.name}" not in modules() for alias in node.names)
        ):
            return True
    return False


def cycles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one module (Tarjan's algorithm, iterative)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []
    for root in edges:
        if root in index:
            continue
        work = [(root, iter(sorted(edges[root])))]
        index[root] = low[root] = len(index)
        stack.append(root)
        while work:
            node, children = work[-1]
            for child in children:
                if child not in index:
                    index[child] = low[child] = len(index)
                    stack.append(child)
                    work.append((child, iter(sorted(edges.get(child, ())))))
                    break
                if child in stack:
                    low[node] = min(low[node], index[child])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    at = stack.index(node)
                    component, stack[at:] = stack[at:], []
                    if len(component) > 1:
                        found.append(sorted(component))
    return found
