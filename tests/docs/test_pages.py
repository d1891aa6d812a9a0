"""Pages lead somewhere, are in the navigation, and quote the package correctly."""

import ast
import json
import re
from pathlib import Path

import pytest

import vortex_hep
from tests.docs.examples import ROOT
from tests.docs.test_tutorial import tool
from vortex_hep import errors
from vortex_hep.cli.main import build_parser
from vortex_hep.core.install import REPOSITORY

DOCS = ROOT / "docs"
SITE = (ROOT / "mkdocs.yml").read_text()
PAGES = sorted(DOCS.rglob("*.md"))


def words_of_the_package():
    """All texts in the code: constants, and the constant parts of formatted ones."""
    out = []
    for path in Path(vortex_hep.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                out.append(node.value)
    return "\n".join(out)


def test_messages_in_troubleshooting_are_those_of_the_code():
    page = (DOCS / "troubleshooting.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \|", page, flags=re.MULTILINE)
    assert len(rows) > 40
    said = words_of_the_package()
    for message in rows:
        for part in message.split("…"):
            assert part.strip(" :,") in said, message


def test_classes_in_troubleshooting_are_errors():
    page = (DOCS / "troubleshooting.md").read_text()
    named = set(re.findall(r"`(\w+Error)`", page)) - {"FileNotFoundError"}
    assert len(named) > 6
    for name in named:
        assert issubclass(getattr(errors, name), vortex_hep.VortexError)


def test_every_page_is_in_the_navigation():
    for page in [*PAGES, *DOCS.glob("*.ipynb")]:
        assert re.search(rf"\b{re.escape(str(page.relative_to(DOCS)))}$", SITE, re.MULTILINE), page


def test_the_site_and_the_package_name_one_repository():
    assert f"\nrepo_url: {REPOSITORY}\n" in SITE


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(DOCS)) for p in PAGES])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
        made = tool("hooks").ORIGINS.get(target)
        assert made or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(DOCS)) for p in PAGES])
def test_commands_parse(page):
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for line in (line.partition(" #")[0].strip() for block in blocks for line in block.split("\n")):
        line = re.sub(r"^(\S*/bin/)", "", line).partition(" > ")[0]
        if line.startswith("vortex-hep ") and not line.endswith("--help"):
            build_parser().parse_args(line.split()[1:])


def test_notebooks_become_pages():
    notebook = json.loads((DOCS / "tutorial.ipynb").read_text())
    text, pictures = tool("hooks").notebook_page(notebook, "tutorial")
    assert len(pictures) == 2
    assert all(data.startswith(b"\x89PNG") for data in pictures.values())
    assert all(f"]({name})" in text for name in pictures)
    assert "bit for bit" in text


@pytest.mark.parametrize(
    ("target", "origin", "page", "leads_to"),
    [
        ("../CHANGELOG.md", "docs/faq.md", "faq.md", "changelog.md"),
        ("docs/SPEC.md#x", "CHANGELOG.md", "changelog.md", "SPEC.md#x"),
        ("../benchmarks/RESULTS.md", "docs/scale.md", "scale.md", "results.md"),
        ("dimuon.ipynb", "docs/analysis.md", "analysis.md", "dimuon.md"),
        ("../production.md", "docs/reference/jobs.md", "reference/jobs.md", "../production.md"),
        ("report.py", "benchmarks/README.md", "benchmarks.md", "R/blob/main/benchmarks/report.py"),
        ("../pipelines", "docs/faq.md", "faq.md", "R/tree/main/pipelines"),
        ("https://example.org", "docs/faq.md", "faq.md", "https://example.org"),
        ("#here", "docs/faq.md", "faq.md", "#here"),
    ],
)  # fmt: skip
def test_links_of_the_repository_work_on_the_site(target, origin, page, leads_to):
    assert tool("hooks").site_link(target, origin, page, "R") == leads_to


def test_a_link_to_nowhere_is_a_warning(caplog):
    tool("hooks").site_link("nowhere.md", "docs/faq.md", "faq.md", "R")
    assert "nowhere.md, which does not exist" in caplog.text
