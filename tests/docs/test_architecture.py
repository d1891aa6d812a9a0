"""What the page on architecture and its picture name exists."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

import vortex_hep
from tests.docs.examples import ROOT
from tests.docs.test_tutorial import tool

PACKAGE = Path(vortex_hep.__file__).parent
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def is_module(name):
    place = PACKAGE.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def named():
    """Dotted names of the page that begin with one of the package's folders."""
    rooms = "|".join(p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name[0] != "_")
    return sorted(set(re.findall(rf"`((?:{rooms})(?:\.\w+)+)`", PAGE)))


def exists(name):
    """Whether a dotted name is a module, or something within one."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        if is_module(".".join(parts[:k])):
            found = importlib.import_module(".".join(["vortex_hep", *parts[:k]]))
            for part in parts[k:]:
                found = getattr(found, part, None)
            return found is not None
    return False


def test_there_are_names_to_check():
    assert len(named()) > 40


@pytest.mark.parametrize("name", named())
def test_names_of_the_page_exist(name):
    assert exists(name)


def test_names_of_training_exist():
    section = PAGE.partition("## Training an event model")[2].partition("\n## ")[0]
    listed = re.findall(r"`(\w+)`", section.partition("`nn.event.training`")[2])
    assert len(listed) >= 7
    for name in listed:
        assert is_module(f"nn.event.training.{name}"), name


def test_steps_of_the_picture_exist():
    diagram = tool("diagram")
    for step in (*diagram.WRITING, *diagram.READING, diagram.KERNEL):
        assert is_module(step.module), step
        assert exists(f"{step.module}.{step.name}"), step


def test_the_picture_is_what_the_script_draws():
    diagram = tool("diagram")
    assert diagram.TARGET.read_text() == diagram.drawing(), "run python docs/tools/diagram.py"
