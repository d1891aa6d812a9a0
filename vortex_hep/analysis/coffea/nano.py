"""coffea's NanoEvents over archives."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vortex_hep.analysis.extras import needs
from vortex_hep.analysis.files import tree_of
from vortex_hep.archive.archive import Archive, OpenOptions, open_unowned
from vortex_hep.archive.cache import MemoryCache
from vortex_hep.core.options import checked_options
from vortex_hep.errors import UnsupportedTypeError

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True)
class EventsOptions:
    """What events are made of an archive; see :func:`nanoevents`."""

    tree: str | None = "Events"
    schemaclass: Any = None
    entries: tuple[int | None, int | None] = (None, None)
    metadata: Mapping[str, Any] | None = None
    access_log: list[Any] | None = None
    buffer_cache: MutableMapping[str, Any] | None = None


@partial(checked_options, more=OpenOptions.__annotations__)
def nanoevents(
    path: str | os.PathLike[str] | Archive,
    *,
    tree: str = "Events",
    schemaclass: Any = None,
    entry_start: int | None = None,
    entry_stop: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    access_log: list[Any] | None = None,
    **options: Unpack[OpenOptions],
) -> Any:
    """Open an archive as coffea's NanoEvents, of which columns are decoded when they are touched.

    Parameters
    ----------
    path : str, path or Archive
        A path or URL, or an open archive, which then must stay open.
    tree : str
    schemaclass : type, optional
        A schema of :mod:`coffea.nanoevents`; ``NanoAODSchema`` by default.
    entry_start, entry_stop : int, optional
        Range of entries; negative numbers count from the end.
    metadata : mapping, optional
        Added to ``events.metadata``.
    access_log : list, optional
        Gets what is touched, as of ``NanoEventsFactory.from_root``.
    **options
        ``model``, ``threads``, ``device`` and ``cache``, as :func:`vortex_hep.open` takes them. By
        default decoded data stay in memory up to :data:`vortex_hep.archive.cache.MEMORY_LIMIT`, so
        that the columns of a table are decoded together, once. Not together with an open archive.

    Returns
    -------
    NanoEventsArray

    Raises
    ------
    UnsupportedFeatureError
        coffea is missing, or a release whose inner workings are unknown.
    VortexError
        As :func:`vortex_hep.open`; while columns are touched, as
        :meth:`~vortex_hep.archive.archive.ArchiveTree.arrays`.

    Examples
    --------
    >>> import awkward as ak
    >>> import vortex_hep
    >>> events = vortex_hep.nanoevents("c.vxc")  # or root://host//folder/c.vxc
    >>> len(events), bool(ak.all(events.Jet[events.Jet.pt > 30].mass > 0))
    (120, True)
    """
    entries = entry_start, entry_stop
    how = EventsOptions(tree, schemaclass, entries, metadata, access_log)
    if isinstance(path, Archive):
        if options:
            raise UnsupportedTypeError(
                f"the archive is open already, so {', '.join(options)} must be given to open()",
                path=path.path,
            )
        return build_events(path, how)
    return build_events(open_unowned(path, **with_cache(options)), how)


def with_cache(options: OpenOptions) -> OpenOptions:
    """Add a cache in memory to options that name none."""
    return options if options.get("cache") is not None else {**options, "cache": MemoryCache()}


def build_events(archive: Archive, how: EventsOptions) -> Any:
    """Make NanoEvents of an open archive.

    Raises
    ------
    UnsupportedFeatureError, VortexError
        As :func:`nanoevents`.
    """
    with needs("coffea"):
        from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

        from vortex_hep.analysis.coffea.mapping import ArchiveMapping
    view = tree_of(archive, how.tree)
    mapping = ArchiveMapping(
        view, archive.fingerprint, view.entry_range(*how.entries),
        access_log=how.access_log, buffer_cache=how.buffer_cache,
    )  # fmt: skip
    form = mapping._extract_base_form(view)
    if how.metadata is not None:
        form["parameters"]["metadata"] = dict(how.metadata)
    schema = (how.schemaclass or NanoAODSchema)(form)
    factory = NanoEventsFactory(schema, mapping, mapping.partition_key, mode="virtual")
    return factory.events()
