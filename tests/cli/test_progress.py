"""Tests of progress in lines, in bars, and switched off."""

import io

import pytest

from vortex_hep.cli.common.progress import progress_for
from vortex_hep.core import terminal as progress
from vortex_hep.core.progress import SILENT


class Terminal(io.StringIO):
    """Standard error as a terminal would be."""

    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Time that moves on demand."""
    now = [0.0]
    monkeypatch.setattr("vortex_hep.core.terminal.time.monotonic", lambda: now[0])
    return now


def test_quiet_is_silent(capsys):
    chosen = progress_for(quiet=True)
    assert chosen is SILENT
    with chosen.task("x", 10) as task:
        task.advance(10, loss=1.0)
    assert capsys.readouterr().err == ""


def test_lines_where_there_is_no_terminal(capsys, clock):
    with progress_for(quiet=False).task("reading", 2_000_000) as task:
        task.advance(500_000)
        clock[0] = progress.LINE_INTERVAL
        task.advance(500_000, loss=3.5)
        task.advance(1_000_000)
    assert capsys.readouterr().err.splitlines() == [
        "reading: 1.00 MB of 2.00 MB in 20.0 s, 50.00 kB/s, 20.0 s left loss=3.5",
        "reading: 2.00 MB in 20.0 s loss=3.5",
    ]


def test_lines_become_rarer_the_longer_it_takes(capsys, clock):
    with progress_for(quiet=False).task("compress", 10_000, unit="files") as task:
        for second in range(0, 36_000, 10):
            clock[0] = float(second)
            task.advance()
    lines = capsys.readouterr().err.splitlines()
    assert 100 < len(lines) < 300
    assert "files/s" in lines[-2]
    assert " left" in lines[-2]


def test_notes_stay_in_the_log(capsys, clock):
    for quiet in (True, False):
        with progress_for(quiet=quiet).task("training", 4, unit="steps") as task:
            task.advance(4)
            task.note("step 4: validation 2.5")
    assert capsys.readouterr().err.splitlines() == [
        "training: step 4: validation 2.5",
        "training: 4 steps in 0.0 s",
    ]


def test_no_last_line_for_a_task_that_failed(capsys):
    def work():
        with progress.LineProgress().task("x", 1) as task:
            task.advance(1)
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        work()
    assert capsys.readouterr().err == ""


def test_bars_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress_for(quiet=False).task("training", 4, unit="steps") as task:
        task.advance(3, loss=2.25)
        task.note("step 3: validation 2.5")
        task.advance(1)
    text = terminal.getvalue()
    assert "training: 100%" in text
    assert "loss=2.25" in text
    assert "step 3: validation 2.5\n" in text
