"""Names in the package: unique class names, plain words in errors and headings."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

from tests.repository.imports import modules

#: Class names that several modules may have, each with its reason.
SHARED_NAMES: dict[str, str] = {}
#: Words that say nothing, with what to write in their place.
WORDS = {
    r"\bno sense\b": "invalid, and which key",
    r"\b(is|are) none of\b": "must be one of ..., not ...",
    r"\b[Ll]eans? on\b": "depends on",
    r"\bmade[- ]up column": "virtual column",
    r"\b[Tt]able models?\b": "event model",
}


def test_class_names_are_unique():
    found = defaultdict(list)
    for name, path in modules().items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found[node.name].append(name)
    several = {name: homes for name, homes in found.items() if len(homes) > 1}
    assert {name: homes for name, homes in several.items() if name not in SHARED_NAMES} == {}
    assert SHARED_NAMES.keys() <= several.keys(), "a reason for a name that is unique now"


def test_words():
    for name, path in modules().items():
        text = path.read_text(encoding="utf-8")
        for pattern, instead in WORDS.items():
            assert not re.search(pattern, text), f"{name}: {pattern} (write: {instead})"


def test_headings():
    for name, path in modules().items():
        heading = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")
        assert heading[0].endswith("."), f"{name}: the heading is a sentence in one line"
        asks = re.match(r"(What|How|Where|Which|Whether|Why|Who|When)\b", heading[0])
        assert asks is None, f"{name}: the heading says what the module is, not what it is about"
