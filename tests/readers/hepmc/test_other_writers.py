"""Tests of texts that programs other than HepMC wrote: turned to the usual form, and back."""

import re

import numpy as np
import pytest

from vortex_hep.errors import CorruptionError
from vortex_hep.readers import open_source
from vortex_hep.readers.hepmc.text.dialect import Dialect, PlainEvent, find_dialect

_HEADS = (b"E ", b"P ", b"V ", b"U ", b"C ", b"F ", b"H ")


def _kept(clusters):
    """Bytes that are no columns."""
    places = [("", "text"), ("literal", "literal_text"), ("odd", "odd_text")]
    return sum(len(c[t].columns[n].content) for c in clusters for t, n in places)


def _padded(text, *, number=26, integer=8):
    def line(found):
        if not found.startswith(_HEADS):
            return found
        key, *rest = found.split(b" ")
        return key + b"".join(b"%*s" % (number if b"." in t else integer, t) for t in rest)

    return b"\n".join(map(line, text.split(b"\n")))


def _fortran(text):
    def turned(found):
        value = float(found[0])
        if value == 0:
            return b"0.000000E+00"
        mantissa, _, exponent = f"{abs(value):.5e}".partition("e")
        sign = "-" if value < 0 else ""
        return f"{sign}0.{mantissa.replace('.', '')}E{int(exponent) + 1:+03d}".encode()

    # What is zero is printed like all other numbers.
    text = re.sub(rb"(?m)^(V \S+ \S+) 0 0 0 0 ", rb"\1 0.0e+00 0.0e+00 0.0e+00 0.0e+00 ", text)
    text = re.sub(rb"(?m)^(P(?: \S+){6}) 0 (\S+) 0 0 ", rb"\1 0.0e+00 \2 0.0e+00 0.0e+00 ", text)
    text = re.sub(rb"(?m)^(P(?: \S+){8}) 0 0 ", rb"\1 0.0e+00 0.0e+00 ", text)
    return re.sub(rb"-?\d\.\d+e[+-]\d\d", turned, text)


def _first(text):
    def line(found):
        tokens = found.split(b" ")
        if tokens[0] == b"P":
            del tokens[7]
        elif tokens[0] == b"E":
            del tokens[9:11], tokens[2]
        return b" ".join(tokens)

    return b"\n".join(map(line, text.split(b"\n")))


def test_vertices_with_weights(check, text2):
    rng = np.random.default_rng(1)
    counts: list[int] = []
    values: list[float] = []

    def weighted(found):
        own = rng.normal(size=rng.integers(0, 4))
        counts.append(len(own))
        values.extend(own)
        return b" ".join([found[1], b"%d" % len(own), *(b"%.16e" % x for x in own)])

    text = re.sub(rb"(?m)^(V(?: \S+){8}) 0$", weighted, text2(events=20))
    notes, clusters = check(text, target=1 << 20)
    assert notes == []
    assert not _kept(clusters)
    assert clusters[0]["vertices"].columns["vertices_weights"].tolist() == counts
    assert clusters[0]["vertex_weights"].columns["vertex_weights_value"].tolist() == values


@pytest.mark.parametrize("weight", [b"1", b"1.0", b"1.00e+00", b"nan", b"0.1e1"])
def test_weights_in_many_forms(check, text2, weight):
    text = re.sub(rb"(?m)^(V(?: \S+){8}) 0$", rb"\1 1 " + weight, text2(events=3))
    _, clusters = check(text, target=1 << 20)
    assert not _kept(clusters)


@pytest.mark.parametrize("size", [24, 26])
def test_padded_fields(check, text2, text3, size):
    for text in (text2(events=10), text3(events=10)):
        notes, clusters = check(_padded(text, number=size), target=1 << 20)
        assert notes == []
        assert len(clusters) == 1
        assert not _kept(clusters)


def test_numbers_of_fortran_in_padded_fields(check, text2):
    """As JEWEL prints events."""
    text = _fortran(text2(events=10))
    assert b"E+" in text
    for one in (text, _padded(text, number=14)):
        notes, clusters = check(one, target=1 << 20)
        assert notes == []
        assert not _kept(clusters)
        particles = clusters[0]["particles"].columns
        row = one[one.index(b"\nP ") + 1 :].split()
        value = int(particles["particles_px"][0]) * 10.0 ** (
            int(particles["particles_px_exp"][0]) - 5
        )
        assert value == pytest.approx(float(row[3]))


def test_hepmc1(check, text2):
    """Events without mass, and without the particles of the beam."""
    text = _first(text2(events=10, listing="IO_Ascii"))
    notes, clusters = check(text, target=1 << 20)
    assert notes == []
    assert not _kept(clusters)
    assert clusters[0][""].columns["signal_process_id"].tolist() == [20] * 10


def test_events_of_3_in_brackets_of_2(check, text2, text3):
    for text, version in (
        (text3(events=4).replace(b"Asciiv3", b"IO_GenEvent"), 3),
        (text2(events=4).replace(b"2.06.09", b"3.02.05"), 2),
    ):
        notes, clusters = check(text, target=1 << 20)
        assert notes == []
        assert not _kept(clusters)
        assert ("vertices_line" in clusters[0]["vertices"].columns) == (version == 3)


def test_one_event_of_another_form(check, text2):
    """What one event has and the others have not costs the others nothing."""
    text = _padded(text2(events=6))
    third = [m.start() for m in re.finditer(rb"(?m)^E ", text)][2]
    spoilt = text[:third] + text[third:].replace(b"   ", b"  ", 1)
    notes, clusters = check(spoilt, target=1 << 20)
    assert "1 of 6 events are carried as text" in notes[0]
    assert len(clusters[0]["particles"].columns["particles_pdg"]) > 0


def test_usual_texts_have_no_dialect(tmp_path, text2, text3):
    for version, text in ((2, text2()), (3, text3())):
        path = tmp_path / "in.hepmc"
        path.write_bytes(text)
        with open_source(path) as source:
            blob = dict(source.remainder())["hepmc/layout"]
        assert b'"dialect"' not in blob
        assert b'"version":1,' in blob or b'"version":1}' in blob
        assert find_dialect(version, [text]).usual


def test_example_of_the_specification():
    dialect = Dialect({"P": [[0, 0], [4, 0], [0, 14]]}, fortran=6)
    line = b"P   1 -0.150000E+01\n"
    assert dialect.written(PlainEvent(b"P 1 -1.50000e+00\n", [])) == line
    assert dialect.plain(line).text == b"P 1 -1.50000e+00\n"


@pytest.mark.parametrize("change", [{"fortran": 1}, {"widths": {"P": [[0, -1]]}}, {"widths": 3},
                                    {"weights": "unknown"}])  # fmt: skip
def test_invalid_dialects(tmp_path, text2, change):
    from vortex_hep.readers.hepmc.tables.layout import TextLayout

    path = tmp_path / "in.hepmc"
    path.write_bytes(_padded(text2()))
    with open_source(path) as source:
        layout = source.trees["events"].layout  # type: ignore[attr-defined]
    document = layout.pack()
    document["dialect"] |= change
    with pytest.raises(CorruptionError):
        TextLayout.unpack(document)
