"""A job with fabricated files and outcomes, to test reports without any work."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from vortex_hep.batch.journal.journal import Journal
from vortex_hep.batch.plan.inputs import InputFile
from vortex_hep.batch.states import Outcome, Reason

BEGIN = 1_700_000_000.0
SERVER = "root://eos.example.org//store"


def files(count: int) -> list[InputFile]:
    """Files of two data sets, one of them with a name that HTML has to escape."""
    return [
        InputFile(
            source=f"{SERVER}/set{n % 2}/file{n:05}.root",
            relative=f"set{n % 2}/file{n:05}.root",
            size=1_000_000 + n,
            mtime=BEGIN - 1000,
            dataset="ttbar" if n % 2 else "<b>dy & jets</b>",
            where=f"files.txt line {n + 1}",
            target=f"{SERVER}/out/file{n:05}.vxc",
        )
        for n in range(count)
    ]


def outcome(
    row_number: int, attempt: int, *, reason: Reason | None = None, error: str = "", place: int = 0
) -> Outcome:
    """What became of one file, different for each."""
    dice = random.Random(place)
    started = BEGIN + 10.0 * (place // 3)
    seconds = dice.uniform(1, 9)
    common: dict[str, Any] = {
        "number": row_number,
        "attempt": attempt,
        "source_size": 1_000_000 + place,
        "worker": f"tcp://10.0.0.{place % 3}:4000",
        "started": started,
        "finished": started + seconds,
    }
    if reason is not None:
        return Outcome(ok=False, reason=reason.value, error=error, **common)
    stored = int((1_000_000 + place) / dice.uniform(1.2, 2.2))
    return Outcome(
        ok=True,
        source_mtime=BEGIN - 1000,
        source_adler32="11e60398",
        target_size=stored,
        target_adler32="024d0127",
        raw_bytes=3_000_000,
        model_bytes=0,
        groups={"": (400_000, 100_000), "Jet": (1_600_000, 300_000), "$\\mu$ <x>": (9000, 4500)},
        stages={"compress": seconds * 0.6, "verify": seconds * 0.4},
        messages=("the model does not know Jet_new",),
        adopted=place % 10 == 7,
        **common,
    )


def invented_job(
    path: Path, count: int, *, failures: dict[int, tuple[Reason, str]] | None = None, left: int = 0
) -> Journal:
    """A compress job; returns its journal, open for writing.

    Parameters
    ----------
    path : Path
    count : int
        Files.
    failures : dict, optional
        Reason and message by position in the list.
    left : int
        Files at the end that are still waiting.
    """
    document = {"command": "compress", "options": {"effort": "normal"}, "model_sha256": "ab" * 32}
    journal = Journal.create(path, document, files(count))
    known: dict[int, tuple[Reason | None, str]] = {**(failures or {})}
    rows = journal.take(count - left, BEGIN) if count > left else []
    outcomes = []
    for place, row in enumerate(rows):
        reason, error = known.get(place, (None, ""))
        outcomes.append(outcome(row.number, row.attempts, reason=reason, error=error, place=place))
    journal.finish(outcomes, retry_at=None)
    return journal
