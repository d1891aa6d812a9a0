"""Registry of coders: integer ids that are stored in files and never change their meaning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from vortex_hep.errors import UnknownCodecError


class Named(Protocol):
    """What a registry asks of its entries."""

    @property
    def id(self) -> int:
        """Stored in files; never reused."""
        ...

    @property
    def name(self) -> str:
        """For people; unique."""
        ...


C = TypeVar("C", bound=Named)


class Registry(Generic[C]):
    """Entries by id and by name; neither can be taken twice.

    Parameters
    ----------
    what : str
        What the entries are, for messages ("column coder").
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._by_id: dict[int, C] = {}
        self._by_name: dict[str, C] = {}

    def register(self, entry: C) -> C:
        """Add an entry and return it.

        Raises
        ------
        ValueError
            Its id or name is taken or outside the range of ids, 1 to 65535.
        """
        if not 0 < entry.id < 1 << 16:
            msg = f"{self.what} id {entry.id} is outside 1 to 65535"
            raise ValueError(msg)
        if entry.id in self._by_id or entry.name in self._by_name:
            msg = f"a {self.what} with id {entry.id} or name {entry.name!r} is registered already"
            raise ValueError(msg)
        self._by_id[entry.id] = entry
        self._by_name[entry.name] = entry
        return entry

    def get(self, key: int | str) -> C:
        """Entry of this id or name.

        Raises
        ------
        UnknownCodecError
            There is none.
        """
        found = self._by_name.get(key) if isinstance(key, str) else self._by_id.get(key)
        if found is None:
            msg = f"no {self.what} has the id or name {key!r}"
            raise UnknownCodecError(msg, hint="the file may need a newer release of vortex_hep")
        return found

    def __iter__(self) -> Iterator[C]:
        """Entries in the order of their ids."""
        return iter([self._by_id[key] for key in sorted(self._by_id)])

    def __len__(self) -> int:
        return len(self._by_id)
