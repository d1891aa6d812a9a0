"""Tests of all dialects of HepMC: their tables, and restoring byte for byte."""

import numpy as np
import pytest

from vortex_hep.readers.kinds import kind_of


def _kept(clusters, table="", column="text"):
    """Bytes of a column that should be empty for well-printed text."""
    return sum(len(c[table].columns[column].content) for c in clusters)


def _all_typed(clusters):
    return not (
        _kept(clusters)
        or _kept(clusters, "literal", "literal_text")
        or _kept(clusters, "odd", "odd_text")
    )


def test_hepmc3(check, text3):
    notes, clusters = check(text3(), target=1 << 20)
    assert notes == []
    assert len(clusters) == 1
    assert _all_typed(clusters)
    cluster = clusters[0]
    scalars, particles, vertices = (cluster[n].columns for n in ("", "particles", "vertices"))
    for name in ("number", "n_vertices", "n_particles", "shape"):
        assert not scalars[name].any()
    assert scalars["signal_process_id"].tolist() == [101] * 5
    # Four more marks the last of a vertex.
    assert particles["particles_birth"][:12].tolist() == [3, 3, 1, 4, 5, 1, 4, 1, 0, 5, 5, 6]
    mothers = [-1, -1, 0, 0, 1, 2, 2, 5, 5, 3, 7, 5]
    assert particles["particles_mother"][:12].tolist() == mothers
    assert particles["particles_partner"][:12].tolist() == [-1] * 4 + [2] + [-1] * 7
    assert not vertices["vertices_incoming"].any()
    assert not vertices["vertices_place_unusual"].any()
    assert cluster["incoming"].num_rows == cluster["positions"].num_rows == 0
    placed = [particles[f"particles_{name}"][:12] != 0 for name in "xyzt"]
    assert all(p.tolist() == [False] * 10 + [True, False] for p in placed)
    assert particles["particles_has_flow1"].sum() == (particles["particles_flow1"] > 0).sum()


@pytest.mark.parametrize("listing", ["IO_GenEvent", "IO_ExtendedAscii"])
def test_hepmc2(check, text2, listing):
    notes, clusters = check(text2(listing=listing), target=1 << 20)
    assert notes == []
    assert _all_typed(clusters)
    cluster = clusters[0]
    particles = cluster["particles"].columns
    assert particles["particles_birth"][:9].tolist() == [3, 3, 1, 4, 5, 1, 4, 3, 3]
    assert particles["particles_mother"][:7].tolist() == [-1, -1, 0, 0, 2, 3, 3]
    assert particles["particles_flows"][:3].tolist() == [0, 1, 3]
    assert particles["particles_partner"][:7].tolist() == [-1, 0, -1, -1, 3, -1, -1]
    placed = particles["particles_t"][:7] != 0
    assert placed.tolist() == [False, False, True, True, False, True, True]
    assert cluster["positions"].num_rows == 0
    assert np.array_equal(cluster["weights"].offsets, np.arange(6) * 2)


@pytest.mark.parametrize("precision", [0, 3, 8, 12, 15, 17])
def test_precisions(check, text3, precision):
    _, clusters = check(text3(precision=precision))
    assert _all_typed(clusters) or precision in (15, 17)
    assert _kept(clusters) == 0


def test_small_clusters(check, text3, text2):
    for text in (text3(events=20), text2(events=20)):
        _, clusters = check(text, target=1)
        assert len(clusters) == 20


def test_decimals_have_two_columns(check, text3):
    _, clusters = check(text3(precision=8))
    columns = clusters[0]["particles"].columns
    assert columns["particles_px"].dtype == np.int32
    assert columns["particles_px_exp"].dtype == np.int16


def test_vertex_attributes(check, text3):
    text = text3().replace(
        b"A 0 alphaQCD",
        b"A -3 barcode -7\nA -1 barcode -5\nA 1 barcode 9\nA 2 flows \nA 5 flows \n"
        b"A 1 phi 0.25\nA 2 phi 1e-06\nA 3 word to the wise\nA 4 word \nA 0 alphaQCD",
    )
    _, clusters = check(text)
    assert _all_typed(clusters)
    vertices = clusters[0]["vertices"].columns
    assert vertices["vertices_barcode"][:3].tolist() == [-5, 0, -7]
    particles = clusters[0]["particles"].columns
    assert particles["particles_phi"][:3].tolist() == [0.25, 1e-06, 0.0]
    assert bytes(particles["particles_word"].content[:11]) == b"to the wise"


def test_many_weights(check, text3):
    weights = b"W " + b" ".join(b"%.22e" % (k / 7) for k in range(40))
    text = text3().replace(b"W 1.0000000000000000000000e+00", weights)
    _, clusters = check(text, target=1 << 20)
    assert _all_typed(clusters)
    assert clusters[0]["weights"].columns["weights_value"][:3].tolist() == [0.0, 1 / 7, 2 / 7]


def test_event_position(check, text3):
    _, clusters = check(text3().replace(b" 6 12\n", b" 6 12 @ " + b"1.5e+00 " * 3 + b"0\n"))
    assert _all_typed(clusters) or _kept(clusters) == 0


def test_kinds(text3, text2):
    assert kind_of(text3()[:4096]) == "hepmc"
    assert kind_of(text2()[:4096]) == "hepmc"
    assert kind_of(b"HepMC::Version 3.02.05\nsomething else\n") == "opaque"
    assert kind_of(b"HepMC") == "opaque"
    assert kind_of(b"") == "opaque"


def test_numbers_of_many_widths(check, text3):
    """Every number has its own form; values are columns, whatever the form."""
    weights = b"W 1.000e+00 6.9000000000e+00 2.5 3 -1.25E-04 0.1"
    text = text3(events=3).replace(b"W 1.0000000000000000000000e+00", weights)
    _, clusters = check(text, target=1 << 20)
    assert not _kept(clusters)
    assert not _kept(clusters, "literal", "literal_text")
    columns = clusters[0]["weights"].columns
    assert columns["weights_value"].tolist() == [1.0, 6.9, 2.5, 3.0, -1.25e-4, 0.1] * 3
    assert columns["weights_value_form"][:6].tolist() == [35, 42, 1, 0, 98, 1]


@pytest.mark.parametrize("precision", [3, 8, 16])
def test_momenta_of_many_widths(check, text3, precision):
    """Where a number is printed in another way than most, its column still has its value."""
    text = text3(events=2, precision=precision)
    row = text.index(b"\nP 2 ")
    tokens = text[row + 1 : text.index(b"\n", row + 1)].split(b" ")
    tokens[4:9] = [b"1", b"-2.5", b"6.9000000000e+00", b"1e3", b"0.5109989E-03"]
    line = text[row + 1 : text.index(b"\n", row + 1)]
    # Many others that are in no style.
    text = text.replace(line, b" ".join(tokens), 1)
    text = text.replace(f"{0:.{precision}e}".encode(), b"0.0")
    _, clusters = check(text, target=1 << 20)
    particles = clusters[0]["particles"].columns
    for name, value in zip(
        ["px", "py", "pz", "e", "m"], (1, -2.5, 6.9, 1e3, 5.109989e-4), strict=True
    ):
        found = float(particles[f"particles_{name}"][1])
        if precision <= 14:
            found *= 10.0 ** (int(particles[f"particles_{name}_exp"][1]) - precision)
        assert found == pytest.approx(value, rel=1e-3)
