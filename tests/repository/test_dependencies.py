"""Tests that pip, conda and developers' files name the same dependencies."""

import importlib
import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.repository.files import PROJECT, read_yaml

NEEDED = PROJECT["project"]["dependencies"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]
#: Names on conda-forge where they are others than on PyPI.
CONDA = {
    "dask": "dask-core",
    "matplotlib": "matplotlib-base",
    "torch": "pytorch-cpu",
    "xxhash": "python-xxhash",
}
#: What conda-forge lacks: environment.yml leaves it to pip, the recipe waits for it.
PIP_ALONE = {"pcodec"}


def bounds(requirements):
    """Lowest version of each requirement, by its name on conda-forge."""
    found: dict[str, str] = {}
    for text in requirements:
        requirement = Requirement(text)
        low = [s.version for s in requirement.specifier if s.operator == ">="]
        assert len(low) == 1, f"{text}: one lower bound"
        plain = canonicalize_name(requirement.name)
        name = CONDA.get(plain, str(plain))
        assert found.setdefault(name, low[0]) == low[0], f"{text}: two lower bounds"
    return found


def conda_bounds(lines):
    """The same of lines as ``numpy >=1.26``."""
    split = [line.replace(" ", "").split(">=") for line in lines]
    return {canonicalize_name(name): low for name, low in split}


def test_environment():
    *lines, pip = [
        line for line in read_yaml("environment.yml")["dependencies"]
        if line != "pip" and not str(line).startswith("python>=")
    ]  # fmt: skip
    (own,) = pip["pip"]
    assert own.startswith("-e .[")
    extras = own.removeprefix("-e .[").removesuffix("]").split(",")
    expected = bounds(NEEDED + [r for extra in extras for r in EXTRAS[extra]])
    found = conda_bounds(lines)
    assert found == {n: v for n, v in expected.items() if n not in PIP_ALONE}


def test_conda_recipe():
    recipe = read_yaml("conda/recipe.yaml")
    python, *lines = recipe["requirements"]["run"]
    assert python == "python >=${{ python_min }}"
    assert conda_bounds(lines) == bounds(NEEDED)
    assert recipe["package"]["name"] == PROJECT["project"]["name"]
    (backend,) = PROJECT["build-system"]["requires"]
    assert backend.replace(">=", " >=") in recipe["requirements"]["host"]


def test_one_lowest_python():
    low = PROJECT["project"]["requires-python"].removeprefix(">=")
    listed = [
        c.rpartition(" ")[2] for c in PROJECT["project"]["classifiers"]
        if re.search(r":: 3\.\d+$", c)
    ]  # fmt: skip
    assert min(listed, key=Version) == low
    assert read_yaml("conda/recipe.yaml")["context"]["python_min"] == low
    (python,) = [
        line for line in read_yaml("environment.yml")["dependencies"]
        if str(line).startswith("python>=")
    ]  # fmt: skip
    newest = Version(max(listed, key=Version))
    assert python == f"python>={low},<{newest.major}.{newest.minor + 1}"
    assert PROJECT["tool"]["mypy"]["python_version"] == low
    tested = read_yaml(".github/workflows/ci.yml")["jobs"]["tests"]["strategy"]["matrix"]
    assert tested["python"] == listed


def test_extras_agree_with_one_another():
    bounds([*NEEDED, *(r for extra in EXTRAS.values() for r in extra)])
    for name in ("docs", "test"):
        assert GROUPS[name] == EXTRAS[name]


def test_what_is_tested_is_installed_for_tests():
    """Every extra that tests import is in the environment of the tests, but for hardware."""
    test = bounds(EXTRAS["test"])
    for extra in ("train", "torchac", "tensorboard", "plot", "coffea", "dask", "bench"):
        missing = set(bounds(EXTRAS[extra])) - set(test)
        assert not missing, f"extra {extra}: {missing}"


@pytest.mark.parametrize("script", PROJECT["project"]["scripts"].items(), ids=str)
def test_entry_points(script):
    _, place = script
    module, _, function = place.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_entry_points_of_the_recipe():
    stated = PROJECT["project"]["scripts"]
    recipe = read_yaml("conda/recipe.yaml")["build"]["python"]["entry_points"]
    assert recipe == [f"{name} = {place}" for name, place in stated.items()]
