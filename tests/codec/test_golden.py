"""Golden models and archives: what version 1 wrote decodes for ever, by every engine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from vortex_hep.archive import Archive
from vortex_hep.model import Model
from vortex_hep.nn import cpu
from vortex_hep.nn.engine import get_engine
from vortex_hep.schema import VarBytes

GOLDEN = Path(__file__).parent.parent / "golden"
VALUES = json.loads((GOLDEN / "archive-v1.json").read_text())


def column_bytes(column):
    if isinstance(column, VarBytes):
        return column.offsets.astype("<i8").tobytes() + column.content.tobytes()
    return np.ascontiguousarray(column).tobytes()


def columns_of(path, model, start, stop):
    with Archive(path, model=model) as archive:
        found = archive["Events"].read(start, stop)
    offsets = {name: table.offsets.tolist() for name, table in found.items()}
    return offsets, {n: column_bytes(c) for t in found.values() for n, c in t.columns.items()}


@pytest.fixture(params=["cpu", "reference"])
def engine(request, monkeypatch):
    """Decode with one engine; gives how often it was called."""
    if request.param == "cpu":
        calls = [1]
    else:
        calls = []

        def run_group(*args):
            calls.append(1)
            return get_engine("reference").run_group(*args)

        monkeypatch.setattr(cpu, "run_group", run_group)
    return calls


def test_golden_archive_decodes_as_ever(engine):
    path = GOLDEN / "archive-v1.vxc"
    first, second = VALUES["lanes"]
    offsets, columns = columns_of(path, None, 0, first)
    assert offsets == {name: found[0] for name, found in VALUES["offsets"].items()}
    assert {n: b.hex() for n, b in columns.items()} == VALUES["columns"]
    _, columns = columns_of(path, None, first, first + second)
    found = {n: hashlib.sha256(b).hexdigest() for n, b in columns.items()}
    assert found == VALUES["digests"]
    assert engine


def test_golden_archive_is_whole():
    with Archive(GOLDEN / "archive-v1.vxc") as archive:
        archive.reader.verify()
        assert list(archive.remainder()) == [("golden/zeros", bytes(100))]
        assert archive.model is not None
        assert archive.model.sha256 == VALUES["sha256"]
        # What only some files have is in this one.
        info = archive.model.tables("Events")
        assert info["W"].fold == 3
        assert [link.source for link in info["T"].links] == ["T", "S"]
        assert {f.reference for f in info["T"].fields} == {0, 1, 2}
        assert max(f.flat for f in info["T"].fields) > 1


def test_golden_model_reads_as_ever():
    model = Model.load(GOLDEN / "model-v1.vxm")
    assert model.sha256 == VALUES["sha256"]
    assert model.classical == {"Events": ("run", "trigger", "comment", "x", "T_noise", "T_label")}
    # The same model serves an archive that names it.
    offsets, _ = columns_of(GOLDEN / "archive-v1.vxc", model, 0, VALUES["lanes"][0])
    assert offsets["S"] == VALUES["offsets"]["S"][0]
