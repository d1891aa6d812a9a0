"""Error classes: what failed, where, and what to do.

All errors derive from :class:`VortexError` and from the nearest built-in, so that
``except ValueError`` in analysis code keeps working.
"""

from __future__ import annotations


class VortexError(Exception):
    """Base of all errors raised by vortex_hep.

    Parameters
    ----------
    message : str
        What went wrong, in one line.
    path : str, optional
        File or URL.
    tree, branch : str, optional
        Tree and branch (or table and column) at fault.
    offset : int, optional
        Byte offset in the file at ``path``.
    hint : str, optional
        What the user can do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        tree: str | None = None,
        branch: str | None = None,
        offset: int | None = None,
        hint: str | None = None,
    ) -> None:
        # Libraries below put several lines into theirs.
        message = " ".join(line.strip() for line in message.splitlines() if line.strip())
        self.message = message
        self.path = path
        self.tree = tree
        self.branch = branch
        self.offset = offset
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        where = [str(self.path)] if self.path is not None else []
        if self.tree is not None:
            where.append(f"tree {self.tree!r}")
        if self.branch is not None:
            where.append(f"branch {self.branch!r}")
        if self.offset is not None:
            where.append(f"byte {self.offset}")
        text = f"{', '.join(where)}: {self.message}" if where else self.message
        return f"{text} ({self.hint})" if self.hint else text


class NotVortexError(VortexError, ValueError):
    """The file is not a vortex_hep archive, model or compressed weights file."""


class UnsupportedVersionError(VortexError, ValueError):
    """Written by a newer format version than this release reads."""


class UnsupportedFeatureError(VortexError, ValueError):
    """A feature flag, codec id or reserved value this release does not know."""


class CorruptionError(VortexError, ValueError):
    """A checksum or an invariant of the format does not hold."""


class TruncatedError(CorruptionError, EOFError):
    """The file ends before its contents do."""


class ModelMismatchError(VortexError, ValueError):
    """The model at hand is not the one the archive names."""


class UnknownCodecError(VortexError, KeyError):
    """No codec is registered under this id or name."""

    __str__ = VortexError.__str__


class UnsupportedTypeError(VortexError, TypeError):
    """An input object or data type that cannot be represented."""


class SourceError(VortexError, OSError):
    """An input file cannot be read: missing, truncated, or not what it claims to be."""

    __str__ = VortexError.__str__


class MissingError(SourceError, FileNotFoundError):
    """There is no such file, or no longer."""


class DeniedError(SourceError, PermissionError):
    """No permission to read a file, or no credentials that its server takes."""


class NetworkError(SourceError, ConnectionError):
    """A server could not be reached, or stopped answering: the same call may succeed later."""


class ChangedError(SourceError):
    """An input file changed while it was read, or is still being written."""


class LayoutError(SourceError):
    """A branch's data do not fit the layout its type announces.

    ``FileSource.settle()`` finds all such branches and gives them another layout.

    Parameters
    ----------
    message : str
    number : int
        Number of the branch in its tree.
    **where
        As for :class:`~vortex_hep.errors.SourceError`.
    """

    def __init__(self, message: str, *, number: int = -1, **where: object) -> None:
        super().__init__(message, **where)  # type: ignore[arg-type]
        self.number = number


class OutputError(VortexError, OSError):
    """An output cannot be written: no space, no permission, or it exists already."""

    __str__ = VortexError.__str__


class NotFoundError(VortexError, KeyError):
    """A tree or branch that does not exist was asked for."""

    __str__ = VortexError.__str__


class VerificationError(VortexError, AssertionError):
    """Two things that must be equal bit for bit are not."""
