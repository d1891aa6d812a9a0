"""Tests that one way and one address to install the package are named everywhere."""

import re

import pytest

from tests.repository.files import PROJECT, read_yaml, texts
from vortex_hep.core.install import REPOSITORY, REQUIREMENT, install_hint

EXTRAS = PROJECT["project"]["optional-dependencies"]
#: pip with any options and further packages, then this package by whatever name.
TOLD = re.compile(r"pip install [^\n`]*?(vortex[-_]hep[^'`\n]*|'?\.\[[^\]]*\])")
FORM = re.compile(re.escape(REQUIREMENT).replace(re.escape("{extras}"), r"(\[[a-z,]+\])?"))
#: Where the form is defined, and what shows it to developers as an example.
DEFINED = "vortex_hep/core/install.py"


@pytest.mark.parametrize(
    ("extras", "command"),
    [
        ((), f"pip install 'vortex-hep @ git+{REPOSITORY}'"),
        (("grid",), f"pip install 'vortex-hep[grid] @ git+{REPOSITORY}'"),
        (("grid", "train"), f"pip install 'vortex-hep[grid,train] @ git+{REPOSITORY}'"),
    ],
)
def test_hint(extras, command):
    assert install_hint(*extras) == command


def test_every_text_tells_the_same():
    seen = 0
    for name, text in texts().items():
        for match in TOLD.finditer(text):
            told = match.group(1)
            own = told.startswith((".", "'."))
            assert own or FORM.fullmatch(told) or name == DEFINED, f"{name}: {match.group()}"
            listed = re.search(r"\[([^\]]*)\]", told)
            if listed and name != DEFINED:
                assert set(listed.group(1).split(",")) <= set(EXTRAS), f"{name}: {match.group()}"
            seen += 1
    assert seen >= 5


def test_no_extra_is_named_as_if_an_index_had_it():
    for name, text in texts().items():
        if name == DEFINED:
            continue
        for match in re.finditer(r"vortex-hep\[[^\n`]*", text):
            assert FORM.match(match.group()), f"{name}: {match.group()}"


def test_the_package_asks_for_extras_that_exist():
    calls = [
        (name, extras)
        for name, text in texts().items() if name.startswith("vortex_hep/")
        for extras in re.findall(r"(?:install_hint|needs)\(((?:[\"']\w+[\"'](?:, )?)+)\)", text)
    ]  # fmt: skip
    assert len(calls) >= 10
    for name, extras in calls:
        assert set(re.findall(r"\w+", extras)) <= set(EXTRAS), f"{name}: {extras}"


def test_one_address():
    urls = PROJECT["project"]["urls"]
    assert urls["Repository"] == REPOSITORY
    assert read_yaml("CITATION.cff")["repository-code"] == REPOSITORY
    for name, text in texts().items():
        for url in re.findall(r"https://github\.com/[\w.-]*vortex[\w.-]*/[\w-]*", text):
            assert url == REPOSITORY, f"{name}: {url}"
