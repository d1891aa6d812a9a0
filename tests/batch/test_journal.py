"""Tests of the journal: its contents, also after crashes, and its one writer."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from vortex_hep.batch.journal.file import APPLICATION_ID, FORMAT_VERSION
from vortex_hep.batch.journal.journal import Counts, Journal
from vortex_hep.batch.plan.inputs import InputFile
from vortex_hep.batch.states import Outcome, Reason, State
from vortex_hep.errors import (
    CorruptionError,
    MissingError,
    NotVortexError,
    OutputError,
    SourceError,
    UnsupportedFeatureError,
    UnsupportedTypeError,
    UnsupportedVersionError,
    VortexError,
)

DOCUMENT = {"command": "compress", "model": "0123", "options": {"effort": "fast"}}


def some_files(count, start=0):
    return [
        InputFile(f"in/{i}.root", f"{i}.root", 100 + i, 5.0, "ttbar", target=f"out/{i}.vxc")
        for i in range(start, start + count)
    ]


def done(row, **more):
    return Outcome(row.number, row.attempts, ok=True, **more)


def failed(row, reason=Reason.NETWORK):
    return Outcome(row.number, row.attempts, ok=False, reason=reason.value, error="it broke")


@pytest.fixture
def journal(tmp_path):
    with Journal.create(tmp_path / "job.sqlite", DOCUMENT, some_files(5)) as journal:
        yield journal


def test_a_new_journal_has_all_files_waiting(journal):
    assert journal.document == DOCUMENT
    rows = list(journal.rows())
    assert [row.number for row in rows] == [1, 2, 3, 4, 5]
    first = rows[0]
    assert (first.source, first.target, first.dataset) == ("in/0.root", "out/0.vxc", "ttbar")
    assert (first.state, first.attempts, first.outcome) == (State.WAITING, 0, None)
    assert (first.size, first.mtime) == (100, 5.0)
    assert journal.counts()[State.WAITING] == Counts(5, 510, 0)
    assert journal.counts()[State.FAILED] == Counts()


def test_the_document_can_be_replaced(journal):
    journal.set_document({"command": "verify"})
    assert journal.document == {"command": "verify"}


def test_files_go_through_their_states(journal):
    one, two = journal.take(2, 0.0)
    assert (one.number, one.state, one.attempts) == (1, State.RUNNING, 1)
    outcome = done(
        one, source_size=150, source_mtime=7.5, source_adler32="0000abcd", target_size=15,
        target_adler32="0000dcba", groups={"": (5, 1), "Jet": (10, 2)}, stages={"compress": 1.5},
        messages=("a note",), worker="tcp://w", started=1.0, finished=2.0,
    )  # fmt: skip
    journal.finish([outcome, failed(two, Reason.DAMAGED)])
    row, other = list(journal.rows())[:2]
    assert row.outcome == outcome
    assert (row.state, row.size, row.mtime, row.error) == (State.DONE, 150, 7.5, None)
    assert (other.state, other.reason, other.error) == (State.FAILED, "unreadable", "it broke")
    counts = journal.counts()
    assert counts[State.DONE] == Counts(1, 150, 15)
    assert (counts[State.FAILED].files, counts[State.WAITING].files) == (1, 3)
    assert [r.number for r in journal.rows(State.DONE, State.FAILED)] == [1, 2]


def test_a_retry_comes_when_it_is_due_and_after_new_files(journal):
    (row,) = journal.take(1, 100.0)
    journal.finish([failed(row)], retry_at={row.number: 200.0})
    assert journal.next_due() == 0.0
    assert [r.number for r in journal.take(9, 150.0)] == [2, 3, 4, 5]
    assert journal.next_due() == 200.0
    (again,) = journal.take(9, 200.0)
    assert (again.number, again.attempts, again.reason) == (1, 2, "network")
    assert journal.next_due() is None
    journal.finish([done(again)])
    assert [o.ok for o in journal.history(1)] == [False, True]
    assert next(journal.rows()).error is None


def test_an_outcome_of_an_earlier_attempt_changes_nothing(journal):
    (row,) = journal.take(1, 0.0)
    assert journal.reopen(failed=False) == 1
    (again,) = journal.take(1, 0.0)
    journal.finish([failed(row, Reason.DAMAGED)])
    now = next(journal.rows())
    assert (now.state, now.attempts, now.outcome) == (State.RUNNING, again.attempts, None)
    assert [o.attempt for o in journal.history(row.number)] == [1]


def test_reopen_and_put_back(journal):
    rows = journal.take(3, 0.0)
    journal.finish([failed(rows[0], Reason.DAMAGED), done(rows[1], target_size=9)])
    assert journal.reopen(failed=False) == 1
    assert journal.reopen(failed=True) == 1
    assert journal.put_back([2, 4], reason="changed", error="its output is gone") == 1
    counts = journal.counts()
    assert (counts[State.WAITING].files, counts[State.WAITING].target_bytes) == (5, 0)
    assert [row.attempts for row in journal.rows()] == [1, 1, 1, 0, 0]


def test_a_longer_list_adds_what_is_new(journal):
    journal.finish([done(journal.take(1, 0.0)[0])])
    assert journal.add(some_files(8)) == 3
    assert journal.add(some_files(8)) == 0
    counts = journal.counts()
    assert (counts[State.DONE].files, counts[State.WAITING].files) == (1, 7)


@pytest.mark.parametrize("field", ["source", "target"])
def test_two_files_cannot_have_one(tmp_path, field):
    files = some_files(2)
    twin = InputFile("in/9.root", "9.root", target="out/9.vxc")
    twin = InputFile(**{**vars(twin), field: getattr(files[0], field)})
    path = tmp_path / "job.sqlite"
    with pytest.raises(UnsupportedTypeError, match=f"one {field}"):
        Journal.create(path, DOCUMENT, [*files, twin])
    assert list(tmp_path.iterdir()) == []


def test_bad_journals(tmp_path, journal):
    journal.close()
    path = tmp_path / "job.sqlite"
    with pytest.raises(OutputError, match="a journal already"):
        Journal.create(path, DOCUMENT, [])
    with pytest.raises(MissingError):
        Journal.open(tmp_path / "none.sqlite")
    with pytest.raises(UnsupportedFeatureError, match="local"):
        Journal.open("root://host//job.sqlite", read_only=True)
    with pytest.raises(UnsupportedTypeError, match="JSON"):
        Journal.create(tmp_path / "new.sqlite", {"x": object()}, [])
    with pytest.raises(SourceError, match="UTF-8"):
        Journal.create(tmp_path / "new.sqlite", {}, [InputFile("a\udcff.root", "")])
    (tmp_path / "text.sqlite").write_text("no database at all, " * 100)
    with pytest.raises(NotVortexError, match="not the journal"):
        Journal.open(tmp_path / "text.sqlite")
    sqlite3.connect(tmp_path / "other.sqlite").execute("CREATE TABLE t (a)").connection.close()
    with pytest.raises(NotVortexError, match="SQLite file"):
        Journal.open(tmp_path / "other.sqlite")
    later = sqlite3.connect(path)
    later.execute(f"PRAGMA user_version = {FORMAT_VERSION + 1}")
    later.close()
    with pytest.raises(UnsupportedVersionError, match=f"version {FORMAT_VERSION + 1}"):
        Journal.open(path, read_only=True)
    assert not list(tmp_path.glob("*.part"))
    assert not list(tmp_path.glob("*.lock"))


def _use(path):
    with Journal.open(path) as journal:
        journal.take(9, 1.0)
        journal.counts()
        return journal.document, list(journal.rows())


def test_damage_is_an_error(tmp_path, journal):
    journal.close()
    path = tmp_path / "job.sqlite"
    whole = path.read_bytes()
    for cut in (100, 5000, len(whole) // 2, len(whole) - 8192):
        path.write_bytes(whole[:cut])
        with pytest.raises(VortexError) as caught:
            _use(path)
        assert isinstance(caught.value, (CorruptionError, NotVortexError))
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


def test_values_that_make_no_sense_are_damage(tmp_path, journal):
    (row,) = journal.take(1, 0.0)
    journal.finish([done(row)])
    journal.close()
    raw = sqlite3.connect(tmp_path / "job.sqlite")
    raw.execute("UPDATE attempts SET outcome = '[]'")
    raw.execute("UPDATE files SET state = 'lost' WHERE number = 2")
    raw.execute("UPDATE job SET value = 'x'")
    raw.commit()
    raw.close()
    with Journal.open(tmp_path / "job.sqlite") as damaged:
        for look in (damaged.counts, lambda: damaged.document, lambda: list(damaged.rows())):
            with pytest.raises(CorruptionError):
                look()


def test_one_writer_and_many_readers(tmp_path, journal):
    path = tmp_path / "job.sqlite"
    with pytest.raises(OutputError, match=rf"another run .* process {os.getpid()} on "):
        Journal.open(path)
    with Journal.open(path, read_only=True) as reader:
        journal.finish([done(journal.take(1, 0.0)[0])])
        assert reader.counts()[State.DONE].files == 1
        with pytest.raises(OutputError, match="to be read"):
            reader.take(1, 0.0)
    journal.close()
    journal.close()
    assert [p.name for p in tmp_path.iterdir()] == ["job.sqlite"]
    Journal.open(path).close()


def test_reading_while_it_is_written(tmp_path):
    path = tmp_path / "job.sqlite"
    seen: list[int] = []
    with Journal.create(path, DOCUMENT, some_files(1200)) as journal:
        over = threading.Event()

        def look():
            with Journal.open(path, read_only=True) as reader:
                while not over.is_set():
                    states = [row.state for row in reader.rows()]
                    assert len(states) == 1200
                    seen.append(states.count(State.DONE))

        thread = threading.Thread(target=look)
        thread.start()
        while rows := journal.take(100, 0.0):
            journal.finish([done(row) for row in rows])
        over.set()
        thread.join()
        assert journal.counts()[State.DONE].files == 1200
    assert seen == sorted(seen)


def test_methods_may_be_called_from_threads(journal):
    taken: list[int] = []

    def work():
        while rows := journal.take(1, 0.0):
            taken.extend(row.number for row in rows)
            journal.finish([done(row) for row in rows])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [1, 2, 3, 4, 5]


_WRITER = """
import sys
from vortex_hep.batch.journal.journal import Journal
from vortex_hep.batch.states import Outcome
with Journal.open(sys.argv[1]) as journal:
    while rows := journal.take(1, 0.0):
        journal.finish([Outcome(row.number, row.attempts, ok=True) for row in rows])
        print(rows[0].number, flush=True)
"""


def test_what_was_finished_survives_a_kill(tmp_path):
    """Nothing is lost, no lock stays, and the next run goes on."""
    path = tmp_path / "job.sqlite"
    Journal.create(path, DOCUMENT, some_files(3000)).close()
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(20)]
        with pytest.raises(OutputError, match=f"process {process.pid} "):
            Journal.open(path)
        os.kill(process.pid, signal.SIGKILL)
        said += process.stdout.readlines()
    with Journal.open(path, read_only=True) as reader:
        assert reader.counts()[State.DONE].files >= len(said)
    with Journal.open(path) as journal:
        assert journal.reopen(failed=False) in (0, 1)
        finished = {row.number for row in journal.rows(State.DONE)}
        assert finished >= {int(number) for number in said}
        assert len(journal.take(9999, 0.0)) == 3000 - len(finished)


def test_a_transaction_that_was_cut_off_is_undone_by_whoever_opens(tmp_path, journal):
    journal.close()
    path = tmp_path / "job.sqlite"

    def die():
        raw = sqlite3.connect(path, isolation_level=None)
        raw.execute("PRAGMA cache_spill = 1")
        raw.execute("PRAGMA cache_size = 1")
        raw.execute("BEGIN IMMEDIATE")
        raw.execute("UPDATE files SET state = 'failed', error = ?", ["x" * 100_000])
        os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=die)
    process.start()
    process.join()
    assert path.with_name("job.sqlite-journal").stat().st_size
    with Journal.open(path, read_only=True) as reader:
        assert reader.counts()[State.WAITING].files == 5


def test_the_tables_are_what_the_documentation_says(tmp_path, journal):
    (row,) = journal.take(1, 0.0)
    journal.finish([failed(row, Reason.DAMAGED)])
    raw = sqlite3.connect(tmp_path / "job.sqlite")
    try:
        assert raw.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        (one,) = raw.execute(
            "SELECT reason, count(*), min(source) FROM files WHERE state = 'failed' GROUP BY reason"
        ).fetchall()
        assert one == ("unreadable", 1, "in/0.root")
        raw.execute(
            "SELECT source, finished - started AS seconds FROM attempts JOIN files USING (number)"
            " WHERE ok ORDER BY seconds DESC LIMIT 10"
        )
    finally:
        raw.close()


def test_a_hundred_thousand_files(tmp_path):
    """Taking and finishing one among many is no matter of reading all of them."""
    with Journal.create(tmp_path / "job.sqlite", DOCUMENT, some_files(100_000)) as journal:
        rows = journal.take(500, 0.0)
        journal.finish([done(row, target_size=1) for row in rows])
        assert journal.counts()[State.DONE] == Counts(500, sum(100 + i for i in range(500)), 500)
        assert journal.add(some_files(1, start=100_000)) == 1
        steps: list[None] = []
        journal._connection.set_progress_handler(lambda: steps.append(None), 100)
        (row,) = journal.take(1, 0.0)
        journal.finish([done(row)])
        journal.next_due()
        assert len(steps) * 100 < 5000, "instructions of SQLite; a scan takes a million"
