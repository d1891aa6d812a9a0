"""Tests of HepMC text that no writer makes: restored all the same."""

import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_hep.readers.hepmc.tables.headrows import unpack_bytes
from vortex_hep.readers.hepmc.tables.infer import infer_layout
from vortex_hep.readers.hepmc.tables.reading import read_events
from vortex_hep.readers.hepmc.tables.writing import write_events

ODD_NUMBERS = [
    b"1.50", b"+3", b"nan", b"-inf", b"1e400", b"1" * 400, b"0x1p3", b"-0.0000000000000000e+00",
    b"0", b"-0", b"1.0000000000000000E+00", b"1.00000000000000000e+00", b"4.9406564584124654e-324",
    b"1.7976931348623157e+308", b"9.9999999999999999e+99", b"2.2250738585072011e-308",
    b"1.2345678901234567e+00", b"1.2345678901234568e-400", b"\xff\xfe", b"9007199254740993",
]  # fmt: skip


def _replace_field(text, kind, field, value, which=3):
    """Put another token in the place of one on some line of a kind."""
    lines = text.split(b"\n")
    found = [k for k, line in enumerate(lines) if line.startswith(kind)]
    parts = lines[found[which]].split(b" ")
    parts[field] = value
    lines[found[which]] = b" ".join(parts)
    return b"\n".join(lines)


@pytest.mark.parametrize("value", ODD_NUMBERS)
@pytest.mark.parametrize("field", [1, 2, 3, 4, 6, 8, 9])
def test_odd_numbers_of_particles(check, text3, value, field):
    notes, clusters = check(_replace_field(text3(), b"P ", field, value), target=1 << 20)
    if 4 <= field <= 8:
        assert notes == []  # the number is kept, and no more
        assert clusters[0]["odd"].num_rows <= 1


@pytest.mark.parametrize("value", ODD_NUMBERS)
@pytest.mark.parametrize(
    ("kind", "field"),
    [(b"P ", 1), (b"P ", 5), (b"P ", 9), (b"P ", 11), (b"P ", 12), (b"V ", 1), (b"V ", 5),
     (b"V ", 7), (b"V ", 9), (b"E ", 1), (b"E ", 8), (b"E ", 11), (b"F ", 3), (b"N ", 1)],
)  # fmt: skip
def test_odd_numbers_of_hepmc2(check, text2, kind, field, value):
    check(_replace_field(text2(), kind, field, value))


@pytest.mark.parametrize("value", [b"[]", b"[1]", b"[5,3]", b"[3,3]", b"[3,5", b"[99]", b"[3,11]"])
def test_odd_incoming_lists(check, text3, value):
    check(_replace_field(text3(), b"V -3", 3, value, which=1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"U GEV MM\n", b""), (b"U GEV MM\n", b"U GEV MM\nU GEV MM\n"), (b"U GEV", b"U  GEV"),
        (b"A 0 alphaQCD", b"# a comment\nA 0 alphaQCD"), (b"flow1", b"flow9"),
        (b"\nP 3 ", b"\n\nP 3 "), (b"\nP 3 ", b"\nX 1 2 3\nP 3 "), (b" 101\n", b" 101 \n"),
        (b"\nE 1 ", b"\nE  1 "), (b"\nE 1 ", b"\nE"), (b"flow1 1", b"flow1 x1"),
        (b"A 0 GenCross", b"A 00 GenCross"), (b"\nP 12", b"\nP 13"), (b"E 2 6 12", b"E 2 7 13"),
        (b"V -6 0 [8] @", b"V -6 0 [8]  @"), (b"V -6", b"V -3"), (b"V -6 0", b"V -6 7"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("count", [1, 3, -1])
def test_odd_lines(check, text3, old, new, count):
    text = text3().replace(old, new, count)
    assert text != text3()
    check(text)


def test_a_line_that_is_new_costs_no_more_than_itself(text3):
    text = text3(events=5)
    at = [m.start() + 1 for m in re.finditer(rb"\nE ", text)]
    events = [text[a:b] for a, b in pairwise(at)]
    layout = infer_layout(3, False, events)
    events[1] = events[1].replace(b"A 0 alphaQCD", b"something odd\nA 0 alphaQCD")
    events[2] = events[2].replace(b"A 0 alphaQCD ", b"A 0 alphaQCD  ")
    events[3] = re.sub(rb"flow2 [0-9]+\n", b"flow2 x\n", events[3], count=1)
    cluster = read_events(layout, events, [b""] * 4, 0)
    assert write_events(layout, cluster, 0) == events
    assert not unpack_bytes(cluster[""].columns["text"])[1]
    assert np.diff(cluster["literal"].offsets).tolist() == [0, 1, 1, 1]
    assert unpack_bytes(cluster["literal"].columns["literal_text"])[0] == b"something odd\n"


@pytest.mark.parametrize("kind", ["text3", "text2"])
def test_line_ends(check, request, kind):
    text = request.getfixturevalue(kind)()
    windows = text.replace(b"\n", b"\r\n")
    notes, clusters = check(windows)
    assert notes == []
    assert not len(clusters[0][""].columns["text"].content)
    half = windows.index(b"\r\nE ", len(windows) // 3)
    notes, _ = check(windows[:half] + windows[half:].replace(b"\r\n", b"\n"))
    assert "carried as text: the first is number" in notes[0]
    check(text.replace(b"\n", b"\r\n", len(text) // 100))
    check(text.replace(b"\n", b"\r"))


@pytest.mark.parametrize("kind", ["text3", "text2"])
def test_every_truncation(check, request, kind):
    text = request.getfixturevalue(kind)(events=2)
    start = text.index(b"LISTING") + 8
    for size in [*range(start, start + 40), *range(start + 40, len(text), 97), len(text) - 1]:
        check(text[:size])


def test_listings_that_follow_one_another(check, text3, text2):
    notes, clusters = check(text3() + text3(seed=2), target=1 << 20)
    assert notes == []
    assert len(clusters[0][""].offsets) == 11
    notes, _ = check(text3() + b"between\n" + text2() + b"\0" * 100)
    assert notes[0].startswith("5 of 10 events are carried as text")


@pytest.mark.parametrize(
    "end", ["", "E", "E ", "E 0 0 0", "E 0 0 0\n", "E 0 0 0\nU GEV MM\n", "junk"]
)
def test_no_events(check, text3, end):
    header = text3(events=0).split(b"HepMC::Asciiv3-END")[0]
    check(header + end.encode())


_TEXTS: dict[int, Any] = {}


@pytest.fixture(scope="module")
def layouts():
    """Texts of events of both versions, with their layouts."""
    return _TEXTS


@settings(max_examples=150)
@given(st.data())
def test_any_change_survives(text3, text2, layouts, data):
    version = data.draw(st.sampled_from([2, 3]))
    if version not in layouts:
        text = {2: text2, 3: text3}[version](events=3)
        start, stop = text.index(b"\nE ") + 1, text.rindex(b"HepMC::")
        layouts[version] = infer_layout(version, False, [text[start:stop]]), text[start:stop]
    layout, event = layouts[version]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(event) - 1))
        size = data.draw(st.integers(0, 6))
        new = data.draw(
            st.one_of(
                st.binary(max_size=6), st.sampled_from([b"\n", b" ", b"P ", b"V -1 0 [", b"0"])
            )
        )
        event = event[:at] + new + event[at + size :]
    cluster = read_events(layout, [event], [b""], 0)
    assert write_events(layout, cluster, 0) == [event]
