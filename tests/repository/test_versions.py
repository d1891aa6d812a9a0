"""Tests that the version is the same wherever it is written."""

import importlib.metadata
import re

from tests.repository.files import PROJECT, ROOT, read_yaml
from vortex_hep import __version__
from vortex_hep.codec.container.container_format import FORMAT_VERSION


def logged():
    """Versions that have a section in the change log, newest first."""
    text = (ROOT / "CHANGELOG.md").read_text()
    return re.findall(r"^## (?:Unreleased: )?(\d+\.\d+\.\d+)", text, re.MULTILINE)


def test_package():
    path = ROOT / PROJECT["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{__version__}"' in path.read_text()
    assert importlib.metadata.version("vortex-hep") == __version__


def test_citation():
    assert str(read_yaml("CITATION.cff")["version"]) == __version__


def test_conda_recipe():
    assert read_yaml("conda/recipe.yaml")["context"]["version"] == __version__


def test_change_log():
    """The newest section is of this version, released or not."""
    heads = re.findall(
        r"^## (?:Unreleased: )?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.M
    )
    assert heads[0] == __version__
    assert len(set(heads)) == len(heads)


def test_format_versions():
    """The specification says which release first wrote each version of the format."""
    (path,) = ROOT.glob("docs/**/SPEC.md")
    table = path.read_text().partition("| version | first release |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (\d+) \| (\d+\.\d+\.\d+) \|", table, re.MULTILINE)
    assert [int(version) for version, _ in rows] == list(range(1, FORMAT_VERSION + 1))
    assert {release for _, release in rows} <= set(logged())
