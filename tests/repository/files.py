"""Paths of the repository's own files, outside the package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

#: Folders with text that users or developers read, but not what programs wrote.
_READ = (".ci", ".github", "benchmarks", "conda", "docs", "pipelines", "vortex_hep")
_TEXT = {".cff", ".ipynb", ".md", ".py", ".toml", ".txt", ".yaml", ".yml"}


def texts() -> dict[str, str]:
    """Path and content of each file of text outside the tests."""
    found = [p for p in ROOT.iterdir() if p.is_file()]
    for folder in _READ:
        found += [p for p in (ROOT / folder).rglob("*") if p.is_file()]
    kept = (p for p in found if p.suffix in _TEXT or p.parent.name == ".ci")
    return {
        p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8")
        for p in sorted(kept) if "results" not in p.parts
    }  # fmt: skip


def read_yaml(name: str) -> Any:
    """A YAML file of the repository."""
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
