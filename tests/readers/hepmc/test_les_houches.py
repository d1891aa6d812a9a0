"""Tests of Les Houches events: columns of every generator's print, and back byte for byte."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vortex_hep
from vortex_hep import Model, compress_file, restore
from vortex_hep.errors import CorruptionError
from vortex_hep.readers import open_source
from vortex_hep.readers.hepmc.leshouches.events import PARTICLE, BlockLayout
from vortex_hep.readers.hepmc.leshouches.printed import KIND, LineStyle, infer, read, write

_HEAD = (
    '<LesHouchesEvents version="3.0">\n<header>\n<!-- E 1 2 3 -->\n</header>\n<init>\n'
    "2212 2212 6.5e+03 6.5e+03 0 0 247000 247000 -4 1\n</init>\n"
)
_FOOT = "</LesHouchesEvents>\n"


def _fortran(value, digits=9):
    return write(f"F:{digits}", (value,)).decode()


def _madgraph(event, rows):
    out = f"{len(rows):2d} {1:6d} {event[0]:+13.7e} {event[1]:14.8e} {0.0078:14.8e} {0.118:14.8e}\n"
    for row in rows:
        ids = " ".join(f"{n:4d}" for n in row[1:6])
        p = " ".join(f"{x:+13.10e}" for x in row[6:9])
        out += f"{row[0]:9d} {ids} {p} {row[9]:14.10e} {row[10]:14.10e} {0:10.4e} {1:10.4e}\n"
    return out + "<rwgt>\n<wgt id='1'> +1.0e+00 </wgt>\n</rwgt>\n"


def _fortran_program(event, rows):
    numbers = "".join(f"{_fortran(x, 5):>13s}" for x in (*event, 0.0078, 0.118))
    out = f"{len(rows):7d}{1:7d}{numbers}\n"
    for row in rows:
        ids = "".join(f"{n:5d}" for n in row[1:6])
        p = "".join(f"{_fortran(x):>17s}" for x in row[6:])
        out += f"{row[0]:8d}{ids}{p} 0. 9.\n"
    return out + "#rwgt 1 2 3\n"


def _pythia(event, rows):
    """Widths of fields, and numbers of a fixed precision."""
    out = f" {len(rows):5d} {1:5d} {event[0]:13.6E} {event[1]:13.6E} {0.0078:13.6E} {0.118:13.6E}\n"
    for row in rows:
        ids = " ".join(f"{n:5d}" for n in row[:6])
        out += f" {ids} " + " ".join(f"{x:17.10E}" for x in row[6:]) + " 0.000000E+00 9.0 \n"
    return out


_WRITERS = {"madgraph": _madgraph, "fortran": _fortran_program, "pythia": _pythia}


def _events(write_event, count=8, seed=1):
    rng = np.random.default_rng(seed)
    rows, texts = [], []
    for _ in range(count):
        own = []
        for k in range(int(rng.integers(3, 7))):
            p = rng.normal(size=5) * 50
            if k < 2:
                p[:2] = 0.0, -0.0
            ids = [(21, -6, 11)[k % 3], -1 if k < 2 else 1, k // 2, k // 2, 501 + k, 0]
            own.append([*ids, *p.tolist()])
        rows.append(own)
        event = write_event((rng.normal(), rng.random() * 91), own)
        texts.append(f"<event>\n{event}</event>\n")
    return rows, _HEAD + "".join(texts) + _FOOT


@pytest.mark.parametrize("name", _WRITERS)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_columns(check, name, ends):
    rows, text = _events(_WRITERS[name])
    notes, clusters = check(text.replace("\n", ends).encode(), target=1 << 20)
    assert notes == []
    scalars, particles = clusters[0][""], clusters[0]["particles"]
    assert scalars.columns["NUP"].tolist() == [len(r) for r in rows]
    assert scalars.columns["IDPRUP"].tolist() == [1] * len(rows)
    assert np.allclose(scalars.columns["AQCDUP"], 0.118)
    flat = np.array([row for own in rows for row in own])
    for k, column in enumerate(PARTICLE[:11]):
        found = particles.columns[column]
        assert np.allclose(found, flat[:, k], rtol=1e-8), column
        assert found.dtype == ("<i4" if k < 6 else "<f8")
    assert not scalars.columns["text"].content.size


@pytest.mark.parametrize("name", ["in.lhe", "in.lhe.gz"])
def test_through_an_archive(tmp_path, name):
    rows, text = _events(_madgraph)
    path, archive, out = tmp_path / name, tmp_path / "a.vxc", tmp_path / f"out-{name}"
    data = gzip.compress(text.encode()) if name.endswith("gz") else text.encode()
    path.write_bytes(data)
    compress_file(path, archive, model=Model({}), effort="fast")
    restore(archive, out)
    found = out.read_bytes()
    assert (gzip.decompress(found) if name.endswith("gz") else found) == text.encode()
    with vortex_hep.open(archive) as opened:
        events = opened["events"]
        assert events["NUP"].array().tolist() == [len(r) for r in rows]
        assert events["IDUP"].array().tolist() == [[row[0] for row in own] for own in rows]
        assert events["PUP4"].array()[0].tolist() == pytest.approx([r[9] for r in rows[0]])


@pytest.mark.parametrize(
    "change",
    [
        ("  501 ", " 501 "), ("+0.0000000000e+00", "NaN"), ("\n<rwgt>", "\n1 2\n<rwgt>"),
        ("<event>\n ", "<event>\n7"), ("    0 +", "\t0 +"), ("e+00", "e+000"), ("-6", "-6.5"),
    ],
)  # fmt: skip
def test_one_event_of_another_form(check, change):
    """One event that is not understood costs the others nothing."""
    rows, text = _events(_madgraph)
    notes, clusters = check(text.replace(*change, 1).encode(), target=1 << 20)
    assert len(notes) <= 1
    counts = clusters[0][""].columns["NUP"].tolist()
    assert counts[1:] == [len(r) for r in rows][1:]


def test_odd_files(check):
    _, text = _events(_madgraph, count=3)
    for one in (
        _HEAD + _FOOT, text[:-300], text.replace("<event>", "<event id='1'>"),
        '<?xml version="1.0"?>\n' + text, "<!-- of a program -->\n" + text,
        text.replace("</event>\n", "</event>\n\n# between\n"), text.replace("\n", "\r\n", 9),
        _HEAD + "<eventgroup>\n<event>\n0 1 1.0 1.0 1.0 1.0\n</event>\n" + _FOOT,
    ):  # fmt: skip
        check(one.encode())


def test_numbers_of_many_widths(check):
    _, text = _events(_madgraph)
    text = text.replace("7.80000000e-03", "0.0078", 2).replace("1.18000000e-01", ".118E+00", 1)
    _, clusters = check(text.encode(), target=1 << 20)
    assert clusters[0][""].columns["NUP"].sum() > 0


@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.sampled_from(["e:4", "+e:10", "E:8", "+E:0", "f:3", "+f:0", "p:0", "F:9", "+F:2", "num"]),
)
def test_types_of_tokens(value, kind):
    assert KIND.fullmatch(kind)
    token = write(kind, (value, 32 + 5))
    found = read(kind, token)
    assert found is None or write(kind, found) == token
    if found is None:
        # Beyond two digits of the exponent, or of more digits than a double has.
        assert kind.lstrip("+")[0] in "Ffp"


def test_types_are_the_narrowest():
    assert infer([b"1", b"-20"]) == "int:<i4"
    assert infer([b"+1.50e+00", b"-1.50e+00"]) == "+e:2"
    assert infer([b"0.15E+01", b"-0.15E-01"]) == "F:2"
    assert infer([b"9.", b"0."]) == "p:0"
    assert infer([b"1.5", b"22.25", b"3e5"]) == "text"
    assert infer([b"1.5", b"22.25"]) == "num"


def test_example_of_the_specification():
    style = LineStyle(("int:<i4", "+e:2", "F:3"), ((0, 6), (1, 0), (1, 11)))
    line = b"    21 +5.00e-01 -0.120E+02"
    assert style.join([(21,), (0.5,), (-12.0,)]) == line
    assert style.split(line) == [(21,), (0.5,), (-12.0,)]


@pytest.mark.parametrize(
    "change",
    [
        {"event": 3},
        {"particle": None},
        {"kinds": ["e:2"]},
        {"end": "x"},
        {"places": [[0, -1]] * 13},
    ],
)
def test_invalid_layouts(tmp_path, change):
    path = tmp_path / "in.lhe"
    path.write_text(_events(_madgraph)[1])
    with open_source(path) as source:
        document = source.trees["events"].layout.pack()  # type: ignore[attr-defined]
    if next(iter(change)) in document:
        document |= change
    else:
        document["particle"] |= change
    with pytest.raises(CorruptionError):
        BlockLayout.unpack(document)
