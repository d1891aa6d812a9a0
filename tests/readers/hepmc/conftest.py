"""Fixtures of the HepMC tests: small texts of all dialects, and round trips."""

from __future__ import annotations

import gzip
import io
import tarfile

import numpy as np
import pytest

from vortex_hep.readers import open_source
from vortex_hep.testing.conformance.readers import read_contents, restore_contents


def _sci(value, precision=16):
    return f"{value:.{precision}e}"


def _event3(rng, number, precision=16):
    """One event of HepMC3 with implicit vertices, positions, several incoming, and colours."""
    lines = ["U GEV MM", "W 1.0000000000000000000000e+00"]
    lines.append("A 0 GenCrossSection 1.01047733e+03 1.01047733e+03 1 3")
    lines.append(f"A 0 alphaQCD {rng.random():.15g}")
    flows = sorted(set(rng.integers(2, 9, 4).tolist()))
    lines += [f"A {k} flow1 {rng.integers(100, 200)}" for k in flows]
    lines += [f"A {k} flow2 {rng.integers(100, 200)}" for k in flows]
    lines.append("A 0 signal_process_id 101")
    parents = [0, 0, 1, 1, 2, -3, -3, 6, 6, 4, -6, 6]
    for row, parent in enumerate(parents):
        if row == 5:
            lines.append("V -3 0 [3,5]")
        if row == 10:
            place = " ".join(_sci(x, precision) for x in rng.normal(size=4))
            lines.append(f"V -6 0 [8] @ {place}")
        p = " ".join(_sci(x, precision) for x in (*rng.normal(size=4), 0.0))
        lines.append(f"P {row + 1} {parent} {(21, -11)[row % 2]} {p} {1 + row % 3}")
    head = f"E {number} 6 {len(parents)}"
    return "".join(line + "\n" for line in [head, *lines])


def _event2(rng, number):
    """One event of HepMC2 with an orphan, flows, and a vertex without position."""
    lines = [
        f"E {number} -1 {_sci(rng.random())} {_sci(0.1)} {_sci(0.007)} 20 0 3 1 2 0 2 "
        f"{_sci(1)} {_sci(rng.random())}",
        'N 2 "0" "p 1"',
        "U GEV MM",
        f"C {_sci(rng.random())} {_sci(rng.random())}",
        "H 0 0 0 0 0 0 0 0 0 0 0 0 0",
        f"F 21 -2 {_sci(0.03)} {_sci(0.02)} {_sci(4.2)} {_sci(7.9)} {_sci(1.6)} 0 0",
    ]
    for vertex, (orphans, children) in enumerate([(2, 2), (0, 1), (0, 2)]):
        at = "0 0 0 0" if vertex == 1 else " ".join(_sci(x) for x in rng.normal(size=4))
        lines.append(f"V {-vertex - 1} 0 {at} {orphans} {children} 0")
        for k in range(orphans + children):
            p = " ".join(_sci(x) for x in rng.normal(size=4))
            row = 10 * vertex + k + 1
            end = {1: -1, 2: -1, 3: -2, 11: -3, 4: -3}.get(row, 0)
            flows = ("0", "1 1 501", "2 1 502 2 503")[k % 3]
            mass = "0" if k else _sci(0.938)
            lines.append(f"P {row} 21 {p} {mass} 3 0 0 {end} {flows}")
    return "".join(line + "\n" for line in lines)


def _text3(events=5, seed=1, precision=16):
    rng = np.random.default_rng(seed)
    return (
        "HepMC::Version 3.02.05\nHepMC::Asciiv3-START_EVENT_LISTING\nW Weight\n"
        + "".join(_event3(rng, k, precision) for k in range(events))
        + "HepMC::Asciiv3-END_EVENT_LISTING\n\n"
    ).encode()


def _text2(events=5, seed=1, listing="IO_GenEvent"):
    rng = np.random.default_rng(seed)
    return (
        f"\nHepMC::Version 2.06.09\nHepMC::{listing}-START_EVENT_LISTING\n"
        + "".join(_event2(rng, 2 * k + 1) for k in range(events))
        + f"HepMC::{listing}-END_EVENT_LISTING\n"
    ).encode()


def _there_and_back(path, out, target=1 << 12):
    """Read a file cluster by cluster, restore it, and give its source's notes and clusters."""
    with open_source(path) as source:
        assert source.kind == "hepmc"
        assert list(source.trees) == ["events"]
        contents = read_contents(source, target=target)
    restore_contents(contents, out)
    return contents.notes, list(contents.clusters.values())


def _in_tar(texts):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in texts.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
    return out.getvalue()


@pytest.fixture
def text3():
    """Function that makes a text of HepMC3."""
    return _text3


@pytest.fixture
def text2():
    """Function that makes a text of HepMC2."""
    return _text2


@pytest.fixture
def there_and_back():
    """Function that reads a file and restores it."""
    return _there_and_back


@pytest.fixture
def in_tar():
    """Function that puts texts in a tar archive."""
    return _in_tar


@pytest.fixture
def check(tmp_path):
    """Function that takes a text there and back, and gives notes and clusters."""

    def run(text, **options):
        path, out = tmp_path / "in.hepmc", tmp_path / "out.hepmc"
        path.write_bytes(text)
        found = _there_and_back(path, out, **options)
        assert out.read_bytes() == text
        return found

    return run


@pytest.fixture
def packed(tmp_path):
    """Function that writes bytes to a file and gives its path."""

    def run(data, name="in.gz"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(data, 6) if name.endswith(".gz") else data)
        return path

    return run
