"""Tests of outputs that are as private as what they are made of, and never written over it."""

import os
import stat
from pathlib import Path

import pytest

from vortex_hep.core import storage
from vortex_hep.core.storage.atomic import atomic_output
from vortex_hep.errors import OutputError


def mode(path):
    return stat.S_IMODE(Path(path).stat().st_mode)


@pytest.mark.parametrize("bits", [0o600, 0o640, 0o444, 0o755])
def test_outputs_get_the_permissions_of_what_they_are_made_of(tmp_path, bits):
    (tmp_path / "in").write_bytes(b"in")
    (tmp_path / "in").chmod(bits)
    with storage.permissions_like(tmp_path / "in"):
        with atomic_output(tmp_path / "atomic") as out:
            (temporary,) = tmp_path.glob(".atomic.*")
            assert mode(temporary) == 0o600  # nobody reads it before it is known who may
            out.write(b"x")
        with storage.create(tmp_path / "plain") as out:
            assert mode(tmp_path / "plain") == 0o600
            out.write(b"x")
    assert mode(tmp_path / "atomic") == mode(tmp_path / "plain") == bits


def test_other_outputs_are_as_the_user_has_set(tmp_path):
    (tmp_path / "in").write_bytes(b"in")
    (tmp_path / "in").chmod(0o600)
    with (tmp_path / "usual").open("wb"), storage.permissions_like(tmp_path / "in"):
        pass
    with atomic_output(tmp_path / "atomic") as out:
        out.write(b"x")
    with storage.permissions_like("root://host//in"), atomic_output(tmp_path / "remote") as out:
        out.write(b"x")
    usual = mode(tmp_path / "usual")
    assert mode(tmp_path / "atomic") == mode(tmp_path / "remote") == usual


def test_a_group_that_cannot_be_kept_gets_no_more_than_all(tmp_path, monkeypatch):
    (tmp_path / "in").write_bytes(b"in")
    (tmp_path / "in").chmod(0o664)

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "fchown", refuse)
    real = os.fstat

    def other_group(file):
        found = list(real(file))
        found[stat.ST_GID] += 1
        return os.stat_result(found)

    with storage.permissions_like(tmp_path / "in"), atomic_output(tmp_path / "out") as out:
        out.write(b"x")
        monkeypatch.setattr(os, "fstat", other_group)
    assert mode(tmp_path / "out") == 0o644


@pytest.fixture
def names(tmp_path, monkeypatch):
    """One file under many names, and another one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_bytes(b"x")
    (tmp_path / "other").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "soft").symlink_to("x")
    os.link("x", "hard")
    (tmp_path / "inside").symlink_to("folder")
    return ["x", "./x", str(tmp_path / "x"), "folder/../x", "soft", "hard", f"file://{tmp_path}/x"]


def test_one_file_by_all_its_names(names):
    for name in names:
        assert storage.same_file(name, "x"), name
        with pytest.raises(OutputError, match="the same file"):
            storage.check_distinct("x", "other", name)
    storage.check_distinct("x", "other", "not-there", "root://host//x")
    assert storage.same_file("root://host//a", "root://HOST:1094//./a")
