"""Tests of servers lost at any moment of the work on a file."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vortex_hep
from tests.batch.kinds import write_hdf5
from tests.xrootd import XrootdServer, xrootd, xrootd_base
from vortex_hep.batch.states import Order, Outcome, Reason
from vortex_hep.batch.worker.work import compress_one, restore_one, verify_one
from vortex_hep.batch.workoptions import WorkOptions
from vortex_hep.core import storage
from vortex_hep.core.storage.failures import os_error
from vortex_hep.core.storage.xrootd import reading as xrootd_reading

__all__ = ["xrootd", "xrootd_base"]
pytestmark = pytest.mark.network

MODEL = vortex_hep.Model({})
#: More requests than any of these commands makes.
MANY = 200


class Interruption:
    """Does something after a given answer of a server has come, and before it is looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.at = 0, MANY
        self.action: Callable[[], None] = lambda: None
        for module in ("backend", "reading", "writing"):
            self._wrap(monkeypatch, f"vortex_hep.core.storage.xrootd.{module}.checked")

    def _wrap(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        from vortex_hep.core.storage.xrootd.client import checked

        def counted(answer: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                self.action()
            return checked(answer)

        monkeypatch.setattr(name, counted)

    def arm(self, at: int, action: Callable[[], None]) -> None:
        """Count from now on."""
        self.count, self.at, self.action = 0, at, action


@pytest.fixture
def interruption(monkeypatch: pytest.MonkeyPatch) -> Interruption:
    monkeypatch.setattr(xrootd_reading, "PAUSES", (0.05, 0.05))
    return Interruption(monkeypatch)


def files_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


class Place:
    """A file, its archive, and what is restored of it, on one server."""

    def __init__(self, server: XrootdServer) -> None:
        self.server = server
        source = server.root / "in" / "a.h5"
        source.parent.mkdir()
        source.parent.chmod(0o777)
        write_hdf5(source, 7)
        self.source = server.url("data/in/a.h5")
        self.archive = server.url("data/out/a.vxc")
        self.back = server.url("data/back/a.h5")

    def attempt(self, command: str, number: int) -> Outcome:
        how = WorkOptions(
            command, "j0b", embed_model=True, exact=command == "restore", effort="fast"
        )
        one, other = {
            "compress": (self.source, self.archive),
            "verify": (self.archive, self.source),
            "restore": (self.archive, self.back),
        }[command]
        work = {"compress": compress_one, "verify": verify_one, "restore": restore_one}[command]
        return work(Order(1, one, other, number, None, None), how, MODEL)

    def clear(self, command: str) -> None:
        """Remove the output."""
        if command != "verify":
            storage.remove({"compress": self.archive, "restore": self.back}[command])

    def check(self) -> None:
        """All is there, whole, and nothing else is."""
        root = self.server.root
        there = files_in(root)
        assert there in (["in/a.h5", "out/a.vxc"], ["back/a.h5", "in/a.h5", "out/a.vxc"])
        for original in ("in/a.h5", "back/a.h5"):
            if original in there:
                assert vortex_hep.verify(root / "out/a.vxc", against=root / original).ok


#: Requests between two at which a command is disturbed.
STEPS = {"answer": 1, "restart": 3, "away": 3}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "loss"),
    [
        ("compress", "answer"), ("compress", "restart"), ("compress", "away"),
        ("restore", "answer"), ("restore", "restart"), ("verify", "restart"),
    ],
)  # fmt: skip
def test_at_any_request(xrootd: XrootdServer, interruption, command, loss):
    """The server is lost after the n-th request, for many n, and the next attempt succeeds.

    It carries a request out whose answer is lost; or is killed, and started again at once or after
    the attempt.
    """
    place = Place(xrootd)
    if command != "compress":
        assert place.attempt("compress", 1).ok

    def lose() -> None:
        if loss == "answer":
            raise os_error(errno.ECONNRESET, "connection reset")
        xrootd.kill()
        if loss == "restart":
            xrootd.start()

    failures = 0
    for at in range(1, MANY, STEPS[loss]):
        interruption.arm(at, lose)
        outcome = place.attempt(command, 1)
        reached = interruption.count >= at
        interruption.arm(MANY, lose)
        if not reached:
            break
        if loss == "away":
            xrootd.start()
        if not outcome.ok:
            failures += 1
            assert outcome.reason == Reason.NETWORK.value, (at, outcome.error)
            assert "\n" not in str(outcome.error)
            again = place.attempt(command, 2)
            assert again.ok, (at, again.error)
        place.check()
        place.clear(command)
    assert outcome.ok, outcome.error
    assert failures or loss == "restart"
