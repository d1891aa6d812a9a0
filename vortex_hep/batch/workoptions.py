"""Options of a worker, the same for all files of a job."""

from __future__ import annotations

from dataclasses import dataclass

#: What jobs do.
COMMANDS = ("compress", "verify", "restore")
#: How outputs are checked before they get their names.
CHECKS = ("source", "checksum")


@dataclass(frozen=True)
class WorkOptions:
    """What a worker is told about every file of a job.

    Parameters
    ----------
    command : str
        One of :data:`COMMANDS`.
    job : str
        Identity of the job; part of the names of its temporary files.
    threads : int
        For each file.
    verify : {"source", "checksum"}
        Compare each output with its source bit for bit; or prove while compressing that each chunk
        decodes, and compare checksums of what was written. Outputs are read back either way.
    settle : float
        Seconds for which a source must not have changed.
    overwrite : bool
        Whether outputs that exist are replaced.
    effort : {"fast", "normal", "max"}
        Of compressing.
    exact : bool
        Compressing: promise the very bytes. Restoring: restore them where they are promised.
    embed_model : bool
        Store the model in each archive.
    trees : tuple of str, optional
        Trees to compress; all by default.
    compression : str, optional
        Of restored ROOT files.
    """

    command: str
    job: str
    threads: int = 1
    verify: str = "source"
    settle: float = 0.0
    overwrite: bool = False
    effort: str = "normal"
    exact: bool = False
    embed_model: bool = False
    trees: tuple[str, ...] | None = None
    compression: str | None = None
