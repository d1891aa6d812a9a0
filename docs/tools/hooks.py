"""Hooks of mkdocs for the documentation site.

* Files of the repository that stand outside ``docs`` (the change log, the benchmarks' results)
  become pages.
* Notebooks become pages, with the outputs that are stored in them.
* Links that work in a checkout work on the site: to a page where there is one, else to the file
  in the repository. A link to a file that does not exist is a warning, which ends a strict build.
* Drawings (SVG) are put into the page, so that they follow its light or dark colours.
* Sphinx roles of docstrings, such as ``:class:`~vortex_hep.Model```, become links to the
  reference.
"""

from __future__ import annotations

import base64
import json
import logging
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
DOCS = "docs"

#: Pages made from files outside the documentation's folder.
ORIGINS = {
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "results.md": "benchmarks/RESULTS.md",
    "benchmarks.md": "benchmarks/README.md",
    "ablation.md": "benchmarks/ABLATION.md",
    "known_entropy.md": "benchmarks/KNOWN_ENTROPY.md",
}
#: The README stands for the home page.
PAGES = {**{origin: page for page, origin in ORIGINS.items()}, "README.md": "index.md"}

_LINK = re.compile(r"(?P<before>!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()(?P<target>[^)\s]+)(?P<after>\))")
_FENCE = re.compile(r"^ *(```|~~~)")
_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+\.svg)\)")
_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc|obj):<code>(~?)([\w.]+)</code>")
#: As in ``x[0][9]``, which is no reference to a page.
_INDEX = re.compile(r"\](?=\[[0-9])")
_ITEM = re.compile(r"(?:[*-]|\d+\.) ")

log = logging.getLogger("mkdocs.hooks.site")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of other files."""
    from mkdocs.structure.files import File

    for page, origin in ORIGINS.items():
        text = (ROOT / origin).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    for file in [f for f in files if f.src_uri.endswith(".ipynb")]:
        files.remove(file)
        name = file.src_uri.removesuffix(".ipynb")
        notebook = json.loads((ROOT / DOCS / file.src_uri).read_text(encoding="utf-8"))
        text, pictures = notebook_page(notebook, posixpath.basename(name))
        files.append(File.generated(config, f"{name}.md", content=text))
        for picture, data in pictures.items():
            place = posixpath.join(posixpath.dirname(name), picture)
            files.append(File.generated(config, place, content=data))
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let the navigation name notebooks by their files."""
    config.nav = _with_notebooks(config.nav)
    return config


def _with_notebooks(nav: Any) -> Any:
    if isinstance(nav, list):
        return [_with_notebooks(item) for item in nav]
    if isinstance(nav, dict):
        return {title: _with_notebooks(item) for title, item in nav.items()}
    return re.sub(r"\.ipynb$", ".md", nav) if isinstance(nav, str) else nav


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make the text of a page fit for the site."""
    del files
    here = (ROOT / DOCS / page.file.src_uri).parent
    # Within the page, a drawing has the colours that the reader has chosen.
    markdown = _PICTURE.sub(lambda m: (here / m[1]).read_text(encoding="utf-8"), markdown)
    origin = ORIGINS.get(page.file.src_uri, f"{DOCS}/{page.file.src_uri}")

    def relink(match: re.Match[str]) -> str:
        target = site_link(match["target"], origin, page.file.src_uri, str(config.repo_url))
        return f"{match['before']}{target}{match['after']}"

    return _outside_code(markdown, lambda text: _INDEX.sub(r"]\\", _LINK.sub(relink, text)))


def site_link(target: str, origin: str, page: str, repository: str) -> str:
    """Where a link of a repository's file leads on the site.

    Parameters
    ----------
    target : str
        As it is written.
    origin : str
        Path in the repository of the file that it is written in.
    page : str
        Path in the documentation of the page that is made of it.
    repository : str
        Address of the repository.
    """
    path, hash_sign, anchor = target.partition("#")
    if not path or ":" in path or path.startswith("/"):
        return target
    place = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
    if place.startswith("..") or not (ROOT / place).exists():
        log.warning("%s links to %s, which does not exist", origin, target)
        return target
    found = PAGES.get(place)
    if found is None and place.startswith(f"{DOCS}/") and not place.startswith(f"{DOCS}/tools"):
        found = place.removeprefix(f"{DOCS}/")
    if found is None:
        kind = "tree" if (ROOT / place).is_dir() else "blob"
        return f"{repository.rstrip('/')}/{kind}/main/{place}{hash_sign}{anchor}"
    found = re.sub(r"\.ipynb$", ".md", found)
    return posixpath.relpath(found, posixpath.dirname(page) or ".") + hash_sign + anchor


def _outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """Change the lines outside fenced code; lists begin after an empty line, as Markdown wants."""
    out: list[str] = []
    fence = ""
    for line in markdown.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and mark[1] == fence else fence
            out.append(line)
            continue
        before = out[-1] if out else ""
        if _ITEM.match(line) and before.strip() and not re.match(r"\s|[*-] |\d+\. ", before):
            out.append("")
        fence = mark[1] if mark else ""
        out.append(line if mark else change(line))
    return "\n".join(out)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn Sphinx roles in docstrings into links."""
    del page, config, files

    def link(match: re.Match[str]) -> str:
        short, name = match.groups()
        shown = name.rpartition(".")[2] if short else name
        return f'<autoref identifier="{name}" optional><code>{shown}</code></autoref>'

    return _ROLE.sub(link, html)


def notebook_page(notebook: dict[str, Any], name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as a page.

    Parameters
    ----------
    notebook : dict
        As JSON, of format 4.
    name : str
        Of the file, without its ending.

    Returns
    -------
    text : str
    pictures : dict of str to bytes
        By the file names that the text refers to.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).rstrip("\n")
        if cell["cell_type"] != "code":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        shown: list[str] = []
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                picture = f"{name}-{len(pictures) + 1}.png"
                pictures[picture] = base64.b64decode("".join(data["image/png"]))
                shown.append(f"![Plot made by the code above]({picture})")
                continue
            text = "".join(output.get("text") or data.get("text/plain") or ())
            if text.strip():
                shown.append(f"~~~~text\n{text.rstrip()}\n~~~~")
        if shown:
            inner = "\n\n".join(shown)
            parts.append(f'<div class="output" markdown>\n\n{inner}\n\n</div>')
    return "\n\n".join(parts) + "\n", pictures
