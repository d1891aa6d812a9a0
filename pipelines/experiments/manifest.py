"""The manifest of an experiment: what each step made, so that finished steps are skipped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import vortex_hep
from pipelines.experiments.download import checksums
from vortex_hep.errors import NotFoundError


@dataclass(frozen=True)
class FileRecord:
    """A file that a step made or found.

    Parameters
    ----------
    role : str
        What it is for: ``"train"``, ``"test"``, ``"split"``, ``"model"``, ...
    path : str
    bytes : int
    mtime_ns : int
        With the size, saves reading the file again.
    sha256 : str
    """

    role: str
    path: str
    bytes: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, role: str, path: Path) -> FileRecord:
        """Record a file as it is now."""
        stat = path.stat()
        return cls(role, str(path.resolve()), stat.st_size, stat.st_mtime_ns, checksums(path)[1])

    def is_intact(self) -> bool:
        """Whether the file is there and has the same bytes."""
        path = Path(self.path)
        if not path.is_file() or path.stat().st_size != self.bytes:
            return False
        return path.stat().st_mtime_ns == self.mtime_ns or checksums(path)[1] == self.sha256


@dataclass(frozen=True)
class StepRecord:
    """What a step did.

    Parameters
    ----------
    step : str
    key : str
        Changes with the inputs' contents, the options and the release of vortex_hep.
    options : dict
    outputs : tuple of FileRecord
    facts : dict
        What is worth keeping besides.
    """

    step: str
    key: str
    options: dict[str, Any]
    outputs: tuple[FileRecord, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    def paths(self, role: str) -> list[Path]:
        """Files of a role."""
        return [Path(item.path) for item in self.outputs if item.role == role]

    def is_intact(self) -> bool:
        """Whether all its files are as the step left them."""
        return all(item.is_intact() for item in self.outputs)

    def save(self, folder: Path) -> None:
        """Write ``manifest/STEP.json`` below the folder."""
        path = _place(folder, self.step)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(asdict(self), indent=2) + "\n")
        unfinished.replace(path)


def _recorded(role: str, path: Path, known: Sequence[FileRecord]) -> FileRecord:
    """The record of a file, which is not read again if it is as an earlier record says."""
    stat, place = path.stat(), str(path.resolve())
    for item in known:
        if (item.path, item.bytes, item.mtime_ns) == (place, stat.st_size, stat.st_mtime_ns):
            return FileRecord(role, item.path, item.bytes, item.mtime_ns, item.sha256)
    return FileRecord.of(role, path)


def load_record(folder: Path, step: str) -> StepRecord | None:
    """The record of a step; None where there is none that can be read."""
    try:
        plain = json.loads(_place(folder, step).read_text())
        plain["outputs"] = tuple(FileRecord(**item) for item in plain["outputs"])
        return StepRecord(**plain)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _place(folder: Path, step: str) -> Path:
    return folder / "manifest" / f"{step}.json"


def key_of(inputs: Sequence[FileRecord], options: Mapping[str, Any]) -> str:
    """A digest of all that a step's outcome depends on."""
    parts = {
        "inputs": [[item.role, item.sha256] for item in inputs],
        "options": dict(options),
        "release": vortex_hep.__version__,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


#: What a step gives: files by role, and facts.
Outcome = tuple[list[tuple[str, Path]], dict[str, Any]]


@dataclass(frozen=True)
class Steps:
    """The steps of a run, in an output folder.

    Parameters
    ----------
    folder : Path
    wanted : tuple of str
        Steps to run; of others, the earlier outcome is taken.
    resume : bool
        Whether a step is skipped that has nothing new to do.
    say : callable
        Receives lines for the user.
    """

    folder: Path
    wanted: tuple[str, ...]
    resume: bool
    say: Callable[[str], None]

    def run(
        self,
        step: str,
        inputs: Sequence[FileRecord],
        options: Mapping[str, Any],
        work: Callable[[], Outcome],
        *,
        always: bool = False,
    ) -> StepRecord:
        """Do a step, or take what an earlier run left.

        Parameters
        ----------
        step : str
            A name such as ``"train-event"``; what is before the dash is what users ask for.
        inputs : sequence of FileRecord
        options : mapping
            Plain values.
        work : callable
            Does the step.
        always : bool
            Do it even if nothing has changed.

        Raises
        ------
        NotFoundError
            The step is not wanted, and no earlier run has left its outcome.
        """
        record = load_record(self.folder, step)
        if record is not None and not record.is_intact():
            record = None
        asked = step.partition("-")[0]
        if asked not in self.wanted:
            if record is None:
                raise NotFoundError(
                    f"nothing is there of the step {step!r}", path=str(self.folder),
                    hint=f"run it too: --steps {asked},...",
                )  # fmt: skip
            return record
        key = key_of(inputs, options)
        if self.resume and not always and record is not None and record.key == key:
            self.say(f"{step}: nothing has changed, skipped")
            return record
        files, facts = work()
        known = () if record is None else record.outputs
        outputs = tuple(_recorded(role, path, known) for role, path in files)
        made = StepRecord(step, key, dict(options), outputs, facts)
        made.save(self.folder)
        return made
