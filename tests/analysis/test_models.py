"""Tests of finding models outside archives, each loaded once per process."""

import io
import shutil

import awkward as ak
import pytest

import vortex_hep
from vortex_hep.errors import CorruptionError, MissingError, ModelMismatchError
from vortex_hep.models import find as modelfinding
from vortex_hep.models.find import load_model, model_file_name
from vortex_hep.models.model import Model


@pytest.fixture
def loads(monkeypatch):
    """Models that are loaded during the test."""
    seen = []
    read = Model.__dict__["load"].__func__

    def load(cls, path):
        seen.append(path)
        return read(cls, path)

    monkeypatch.setattr(Model, "load", classmethod(load))
    return seen


def read(path, **options):
    with vortex_hep.open(path, **options) as archive:
        return archive["Events"].arrays(["Jet_pt", "Muon_eta", "event"])


@pytest.mark.parametrize("levels", [0, 1, 3])
def test_a_model_beside_or_above(nameless_archive, model, tmp_path, loads, levels):
    folder = tmp_path.joinpath("out", *"xyz"[:levels])
    folder.mkdir(parents=True)
    shutil.copy(nameless_archive, folder / "a.vxc")
    shutil.copy(nameless_archive, folder / "b.vxc")
    model.save(tmp_path / "out" / model_file_name(model.sha256))
    expected = read(nameless_archive, model=model)
    for name in ("a.vxc", "b.vxc"):
        assert ak.array_equal(read(folder / name), expected, dtype_exact=True)
    assert len(loads) == 1


def test_where_it_was_looked_for(nameless_archive, model, tmp_path):
    folder = tmp_path / "1" / "2" / "3" / "4"
    folder.mkdir(parents=True)
    shutil.copy(nameless_archive, folder / "a.vxc")
    name = model_file_name(model.sha256)
    model.save(tmp_path / name)  # too far up
    with pytest.raises(ModelMismatchError) as error:
        read(folder / "a.vxc")
    text = str(error.value)
    assert str(folder / "a.vxc") in text
    assert f"there is no {name} in {folder}, {folder.parent}, " in text
    assert f"{tmp_path / '1'}," not in text.replace(str(tmp_path / "1" / "2"), "")
    assert "--model" in text
    assert "\n" not in text
    with pytest.raises(ModelMismatchError, match="not stored here"):
        read(io.BytesIO(nameless_archive.read_bytes()))


def test_what_lies_there_is_checked(nameless_archive, model, tmp_path):
    shutil.copy(nameless_archive, tmp_path / "a.vxc")
    beside = tmp_path / model_file_name(model.sha256)
    Model({}).save(beside)
    with pytest.raises(ModelMismatchError, match=r"expected the model .* got"):
        read(tmp_path / "a.vxc")
    model.save(beside, overwrite=True)
    data = bytearray(beside.read_bytes())
    data[len(data) // 3] ^= 1
    beside.write_bytes(data)
    with pytest.raises(CorruptionError, match=beside.name):
        read(tmp_path / "a.vxc")


def test_models_by_path(nameless_archive, model, tmp_path, loads):
    model.save(tmp_path / "m.vxm")
    first = read(nameless_archive, model=tmp_path / "m.vxm")
    assert ak.array_equal(read(nameless_archive, model=str(tmp_path / "m.vxm")), first)
    assert load_model(tmp_path / "m.vxm").sha256 == model.sha256
    assert len(loads) == 1
    with pytest.raises(MissingError, match=r"no\.vxm"):
        vortex_hep.open(nameless_archive, model=tmp_path / "no.vxm")
    Model({}).save(tmp_path / "other.vxm")
    with pytest.raises(ModelMismatchError, match="made with model"):
        vortex_hep.open(nameless_archive, model=tmp_path / "other.vxm")


def test_few_models_are_kept(model, tmp_path):
    model.save(tmp_path / "m.vxm")
    load_model(tmp_path / "m.vxm")
    for k in range(modelfinding.KEPT):
        modelfinding._models[str(k)] = model
    load_model(tmp_path / "m.vxm")
    assert len(modelfinding._models) <= modelfinding.KEPT + 1


def test_cached_chunks_need_no_model(nameless_archive, model, tmp_path, decoded):
    expected = read(nameless_archive, model=model, cache=tmp_path)
    decoded.clear()
    assert ak.array_equal(read(nameless_archive, cache=tmp_path), expected)
    assert decoded == []


def test_a_table_that_leans_on_cached_ones(nameless_archive, model, tmp_path, decoded):
    """Tables come in one by one, each from what the ones before left in the cache."""
    with vortex_hep.open(nameless_archive, model=model) as archive:
        names = [n for n in archive["Events"].keys() if n.endswith(("_pt", "_phi"))]  # noqa: SIM118
        expected = archive["Events"].arrays(names)
    decoded.clear()
    for cache in (tmp_path, "50 MB"):
        for name in reversed(names):
            with vortex_hep.open(nameless_archive, model=model, cache=cache) as archive:
                for again in (name, names[0]):
                    found = archive["Events"][again].array()
                    assert ak.array_equal(found, expected[again], dtype_exact=True)
        if cache == tmp_path:
            assert len(decoded) == len(set(decoded))
