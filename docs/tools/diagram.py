"""Draws the way of a cluster through the code: ``python docs/tools/diagram.py``.

The picture is ``docs/img/cluster.svg``. A test compares it with this script, and the names in it
with the package.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import NamedTuple

TARGET = Path(__file__).parents[1] / "img" / "cluster.svg"


class Step(NamedTuple):
    """A function, the module that it is in, and what it does."""

    name: str
    module: str
    does: str


#: From the call to the file.
WRITING = (
    Step("compress_file", "archive.compress", "opens the source, takes or fits a model"),
    Step("open_source", "readers.opening", "the file as trees of tables, and a remainder"),
    Step("write_archive", "archive.write", "reads ahead, encodes, proves, writes"),
    Step("TreeEncoder.encode", "nn.coding.treecoder", "tables in order of dependency, in parallel"),
    Step("EventEncoder.tokenise", "nn.coding.eventtable", "columns to fields, fields to tokens"),
    Step("NetworkRun.predict", "nn.coding.networkrun", "groups of lanes, on the engine"),
    Step("TableEncoder.encode", "nn.coding.tableencoder", "network or classical, what is smaller"),
    Step("encode_words", "codec.tokens.rans", "tokens and frequencies to 32-bit words"),
    Step("ContainerWriter.add", "codec.container.container_write", "a frame with its checksums"),
)
#: From the file to the arrays, last step first.
READING = (
    Step("Builder.layout", "core.branches", "columns to Awkward or NumPy arrays"),
    Step("TreeView.arrays", "archive.view", "names of branches, range of entries"),
    Step("ArchiveTree.read", "archive.tree", "which clusters and tables, and what is cached"),
    Step("TreeDecoder.decode", "nn.coding.treecoder", "tables in order of dependency; checksums"),
    Step("Field.restore", "codec.tokens.fields", "tokens back to the bits of columns"),
    Step("EventDecoder.decode", "nn.coding.eventtable", "what the network coded"),
    Step("TableDecoder.open", "nn.coding.tabledecoder", "what classical coders coded"),
    Step("ContainerReader.read_many", "codec.container.container_read", "ranges of bytes, checked"),
    Step("Archive", "archive.archive", "the footer: trees, tables, chunks"),
)
#: What both meet in.
KERNEL = Step("run_group", "nn.event.cpu", "integers only: context to 16 frequencies per token")

_STYLE = """
  :root { --vx-fg: #24292f; --vx-dim: #57606a; --vx-box: #f4f5fa; --vx-line: #8a90a6;
          --vx-mark: #3f51b5; }
  @media (prefers-color-scheme: dark) {
    :root { --vx-fg: #e6e8f0; --vx-dim: #a4a9bb; --vx-box: #262a38; --vx-line: #7a8098;
            --vx-mark: #8c9eff; }
  }
  .vx text { font-family: sans-serif; fill: var(--md-default-fg-color, var(--vx-fg)); }
  .vx .name { font-family: monospace; font-size: 15px; font-weight: bold; }
  .vx .module { font-family: monospace; font-size: 12px;
                fill: var(--md-accent-fg-color, var(--vx-mark)); }
  .vx .does { font-size: 13px; fill: var(--md-default-fg-color--light, var(--vx-dim)); }
  .vx .title { font-size: 17px; font-weight: bold; }
  .vx rect { fill: var(--md-code-bg-color, var(--vx-box)); stroke: var(--vx-line); }
  .vx rect.kernel { stroke: var(--md-accent-fg-color, var(--vx-mark)); stroke-width: 2; }
  .vx path { stroke: var(--vx-line); stroke-width: 1.5; fill: none; }
  .vx marker path { fill: var(--vx-line); stroke: none; }
"""

_WIDTH, _BOX, _TALL, _GAP, _TOP = 860, 400, 72, 24, 48


def _box(step: Step, x: int, y: int, width: int, mark: str = "") -> list[str]:
    return [
        f'<rect x="{x}" y="{y}" width="{width}" height="{_TALL}" rx="6" class="{mark}"/>',
        f'<text x="{x + 14}" y="{y + 23}" class="name">{escape(step.name)}</text>',
        f'<text x="{x + 14}" y="{y + 42}" class="module">{escape(step.module)}</text>',
        f'<text x="{x + 14}" y="{y + 61}" class="does">{escape(step.does)}</text>',
    ]


def _arrow(x1: int, y1: int, x2: int, y2: int) -> str:
    return f'<path d="M {x1} {y1} L {x2} {y2}" marker-end="url(#vx-tip)"/>'


def drawing() -> str:
    """The picture, as SVG."""
    step = _TALL + _GAP
    left, right = 10, _WIDTH - _BOX - 10
    rows = len(WRITING)
    bottom = _TOP + rows * step
    out = [
        f'<text x="{left}" y="28" class="title">Writing: read downwards</text>',
        f'<text x="{right}" y="28" class="title">Reading: read upwards</text>',
    ]
    for k, (down, up) in enumerate(zip(WRITING, READING, strict=True)):
        y = _TOP + k * step
        out += _box(down, left, y, _BOX) + _box(up, right, y, _BOX)
        if k:
            out.append(_arrow(left + 60, y - _GAP, left + 60, y - 3))
            out.append(_arrow(right + 60, y, right + 60, y - _GAP + 3))
    middle = (_WIDTH - _BOX) // 2
    y = bottom + _GAP
    out += _box(KERNEL, middle, y, _BOX, "kernel")
    # The network is asked between the steps, on both sides.
    ask = _TOP + 5 * step + _TALL // 2
    out.append(
        f'<path d="M {left + _BOX} {ask} L {middle + 190} {ask} L {middle + 190} {y - 3}"'
        ' marker-end="url(#vx-tip)"/>'
    )
    out.append(
        f'<path d="M {right} {ask} L {middle + 210} {ask} L {middle + 210} {y - 3}"'
        ' marker-end="url(#vx-tip)"/>'
    )
    height = y + _TALL + 10
    tip = (
        '<defs><marker id="vx-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7"'
        ' markerHeight="7" orient="auto"><path d="M 0 0 L 8 4 L 0 8 z"/></marker></defs>'
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" class="vx"'
        ' role="img" aria-label="The functions that a cluster passes when it is written and read">'
    )
    return "\n".join([head, f"<style>{_STYLE}</style>", tip, *out, "</svg>"]) + "\n"


if __name__ == "__main__":
    TARGET.write_text(drawing(), encoding="utf-8")
