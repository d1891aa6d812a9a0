"""Options of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from vortex_hep.batch.workoptions import CHECKS
from vortex_hep.core.options import check_effort, checked_fields, thread_count, tree_names
from vortex_hep.core.text import fault_of
from vortex_hep.errors import UnsupportedTypeError


@checked_fields
@dataclass(frozen=True)
class JobOptions:
    """How a job treats its files.

    Parameters
    ----------
    effort : {"fast", "normal", "max"}
        Of compressing.
    threads : int, optional
        Of each worker; by default as many as the site says that it has cores.
    exact : bool
        Promise the very bytes of each file, with adler32.
    embed_model : bool
        Store the model in each archive, instead of once beside all of them.
    verify : {"source", "checksum"}
        Compare each output with its source bit for bit; or prove only while compressing that all
        of it decodes. What was written is read back and its checksum compared either way.
    attempts : int
        Times that a file is tried in one run, if its failure may pass.
    backoff : float
        Seconds until the second attempt; they double with each one.
    settle : float
        Leave files alone (and try again) that changed in so many seconds before they are read.
    group_bytes : int
        Small files go to the workers in groups of about so many bytes.
    overwrite : bool
        Replace outputs that exist. Without it, those that are right are taken, and others are
        failures.
    trees : str or sequence of str, optional
        Trees to compress; all by default.
    compression : str, optional
        Of restored ROOT files, as :func:`vortex_hep.restore` takes it.

    Raises
    ------
    UnsupportedTypeError
        A value is invalid.
    """

    effort: str = "normal"
    threads: int | None = None
    exact: bool = False
    embed_model: bool = False
    verify: str = "source"
    attempts: int = 3
    backoff: float = 5.0
    settle: float = 0.0
    group_bytes: int = 32 << 20
    overwrite: bool = False
    trees: str | Sequence[str] | None = None
    compression: str | None = None

    def __post_init__(self) -> None:
        check_effort(self.effort)
        if self.threads is not None:
            thread_count(self.threads)
        if self.verify not in CHECKS:
            raise UnsupportedTypeError(
                f"verify must be one of {', '.join(CHECKS)}, not {self.verify!r}"
            )
        if self.attempts < 1:
            raise UnsupportedTypeError(f"attempts must be at least 1, not {self.attempts!r}")
        for name in ("backoff", "settle", "group_bytes"):
            value = getattr(self, name)
            if not value >= 0:
                raise UnsupportedTypeError(f"{name} must be at least 0, not {value!r}")

    @property
    def tree_names(self) -> tuple[str, ...] | None:
        """Trees to compress."""
        names = tree_names(self.trees)
        return None if names is None else tuple(names)

    @property
    def document(self) -> dict[str, Any]:
        """As JSON values."""
        names = self.tree_names
        return {**asdict(self), "trees": None if names is None else list(names)}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> JobOptions:
        """Read what :attr:`document` gave, also of a later release.

        Raises
        ------
        UnsupportedTypeError
        """
        known = {field.name for field in fields(cls)}
        try:
            return cls(**{name: value for name, value in document.items() if name in known})
        except (TypeError, ValueError, AttributeError) as error:
            raise UnsupportedTypeError(f"invalid options of a job: {fault_of(error)}") from error
