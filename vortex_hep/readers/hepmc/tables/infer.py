"""Inference of a file's layout from some of its events."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vortex_hep.core.schema import Array
from vortex_hep.readers.hepmc.tables.layout import FIXED_TABLES, LineKey, TextLayout
from vortex_hep.readers.hepmc.text import tokens
from vortex_hep.readers.hepmc.text.cells import Style
from vortex_hep.readers.hepmc.text.dialect import find_dialect
from vortex_hep.readers.hepmc.text.lines import OF_PARTICLE, OF_VERTEX, PREFIXES, Heads, find_heads
from vortex_hep.readers.hepmc.text.numbers import MAX_PRECISION

#: Lines of particles and of vertices from which styles are told.
_STYLE_LINES = 2000
#: Lines of one key from which types are told.
_KEY_LINES = 4096
_MOST_KEYS = 512
_MOST_SHAPES = 256
#: Lines of more tokens end in a list.
_MOST_TOKENS = 24
#: The part of the momenta from which on it is many that are printed in another way.
_MANY_ODD = 0.1
_SCIENTIFIC = re.compile(rb"-?[0-9](?:\.([0-9]+))?e[+-][0-9]+")
_UNUSUAL = re.compile(r"[^A-Za-z0-9_.]+")


def infer_layout(version: int, crlf: bool, texts: Sequence[bytes]) -> TextLayout:
    """Tell how events are printed.

    Parameters
    ----------
    version : int
        Of HepMC: 2 or 3.
    crlf : bool
    texts : sequence of bytes
        Events, their lines ending with a line feed.
    """
    dialect = find_dialect(version, texts)
    if not dialect.usual:
        texts = [dialect.plain(t).text for t in texts]
    text = np.frombuffer(b"".join(texts), np.uint8)
    stops = np.cumsum([len(t) for t in texts], dtype=np.int64)
    starts = stops - np.array([len(t) for t in texts], np.int64)
    heads = find_heads(text, starts, stops)
    styles = _styles(version, texts)
    if _many_odd(version, texts, styles[0]):
        dialect = replace(dialect, values=True)
    layout = TextLayout(version, crlf, *styles, dialect=dialect)
    _find_keys(layout, text, heads)
    return layout


def _styles(version: int, texts: Sequence[bytes]) -> tuple[Style, Style, Style]:
    particles: list[list[bytes]] = []
    vertices: list[list[bytes]] = []
    for text in texts:
        for line in text.split(b"\n"):
            if line.startswith(b"P "):
                particles.append(line.split(b" "))
            elif line.startswith(b"V "):
                vertices.append(line.split(b" "))
        if len(particles) > _STYLE_LINES:
            break
    if version == 3:
        angles = Style(16, bare=False)
        return _style(particles, 4, 9), angles, _style(vertices, 5, 9)
    return _style(particles, 3, 8), _style(particles, 9, 11), _style(vertices, 3, 7)


def _many_odd(version: int, texts: Sequence[bytes], style: Style) -> bool:
    """Whether many momenta of some events are printed in another way than their style."""
    start, seen, odd = (4 if version == 3 else 3), 0, 0
    for text in texts:
        for line in text.split(b"\n"):
            if not line.startswith(b"P "):
                continue
            for token in line.split(b" ")[start : start + 5]:
                found = _SCIENTIFIC.fullmatch(token)
                usual = found is not None and len(found[1] or b"") == style.precision
                odd += not usual and token != b"0"
                seen += 1
        if seen > _STYLE_LINES:
            break
    return odd > _MANY_ODD * seen


def _style(lines: Sequence[Sequence[bytes]], start: int, stop: int) -> Style:
    """What most of the numbers at some places of lines look like."""
    precisions: Counter[int] = Counter()
    bare = full = 0
    for line in lines:
        for token in line[start:stop]:
            if token == b"0":
                bare += 1
            elif found := _SCIENTIFIC.fullmatch(token):
                precisions[len(found[1] or b"")] += 1
                full += not token.strip(b"-0.e+")
    most = [p for p, _ in precisions.most_common() if p <= MAX_PRECISION]
    return Style(most[0] if most else 16, bare > full)


def _find_keys(layout: TextLayout, text: Array, heads: Heads) -> None:
    of_key: dict[str, list[int]] = defaultdict(list)
    for run, name in enumerate(heads.keys):
        of_key[name].append(run)
    frequent = sorted(of_key, key=lambda name: -len(of_key[name]))[:_MOST_KEYS]
    taken = {c.name for t in layout.tables() for c in t.columns} | set(FIXED_TABLES)
    flags: dict[bytes, str] = {}
    number_of: dict[str, int] = {}
    for name in sorted(frequent):
        runs = of_key[name]
        if name.startswith((PREFIXES[OF_VERTEX], PREFIXES[OF_PARTICLE])):
            key = _run(name, text, heads, runs, taken, flags)
        else:
            key = _line(name, layout.version, text, heads, runs, taken)
        number_of[name] = len(layout.keys)
        layout.keys.append(key)
    shapes: Counter[tuple[int, ...]] = Counter()
    for event in range(len(heads.of_event) - 1):
        names = heads.keys[heads.of_event[event] : heads.of_event[event + 1]]
        # A key that stands there again is left to literal lines.
        shapes[tuple(dict.fromkeys(number_of[n] for n in names if n in number_of))] += 1
    layout.shapes = [list(shape) for shape, _ in shapes.most_common(_MOST_SHAPES)]


def _name(wanted: str, taken: set[str]) -> str:
    """A name that nothing has yet, nor anything that begins with it."""
    base = name = _UNUSUAL.sub("_", wanted) or "_"
    number = 2
    while any(t == name or t.startswith(f"{name}_") for t in taken):
        name = f"{base}#{number}"
        number += 1
    taken.add(name)
    return name


def _run(
    name: str, text: Array, heads: Heads, runs: list[int], taken: set[str], flags: dict[bytes, str]
) -> LineKey:
    """Attributes of particles or vertices, one line each."""
    key = LineKey(name, "", [])
    lines = np.concatenate([heads.lines[heads.runs[r] : heads.runs[r + 1]] for r in runs])
    values = [text[a:b].tobytes() for a, b in lines[:_KEY_LINES, [7, 2]].tolist()]
    key.kinds = [tokens.infer(values)]
    short = name[len(PREFIXES[OF_VERTEX]) :]
    key.columns = _name(f"{key.table}_{short}", taken)
    # Attributes that the same particles have share the column that says which.
    same = key.table.encode() + lines[:, [0, 4]].tobytes()
    if same not in flags:
        flags[same] = _name(f"{key.table}_has_{short}", taken)
    key.flag = flags[same]
    return key


def _line(
    name: str, version: int, text: Array, heads: Heads, runs: list[int], taken: set[str]
) -> LineKey:
    """A line that stands at most once in a row."""
    rows = [heads.lines[heads.runs[r]] for r in runs[:_KEY_LINES]]
    lines = [text[r[1] : r[2]].tobytes() for r in rows]
    key = LineKey(name, "", [], tail="text")
    found = [f for line in lines if (f := key.split(line, version)) is not None]
    if not found:
        return LineKey(name, _name(name, taken), ["text"], rest=True)
    wanted = {"E": "weights" if version == 2 else "event", "W": "weights"}.get(name)
    key.columns = _name(wanted or name.removeprefix(PREFIXES[2]), taken)
    fixed, most = min(map(len, found)), max(map(len, found))
    if name == "E":
        fixed = min(fixed, 12 if version == 2 else 4)
    elif name == "W":
        fixed = 1
    elif name == "N":
        fixed = min(fixed, 2)
    elif most > _MOST_TOKENS:
        fixed = min(fixed, 8)
    key.kinds = [tokens.infer([f[k] for f in found]) for k in range(fixed)]
    if name.startswith(PREFIXES[2]) and fixed > 1:
        key.kinds[1] = "=0"
    key.tail = None
    tail = [t for f in found for t in f[fixed:]][: 4 * _KEY_LINES]
    if tail:
        kind = tokens.infer(tail)
        if kind == "text" or kind.startswith("="):
            key.kinds.append(tokens.infer([b" ".join(f[fixed:]) for f in found]))
            key.rest = True
        else:
            key.tail = kind
    return key
