"""Dask clients of sites, started here or given."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from vortex_hep.batch.site.site import Site, connect


@contextlib.contextmanager
def client_of(site: Any) -> Iterator[Any]:
    """A client of a site, which is closed in the end; or the client that was given, which is not.

    Parameters
    ----------
    site : Site or distributed.Client

    Yields
    ------
    distributed.Client
    """
    if not isinstance(site, Site):
        yield site
        return
    with connect(site) as client:
        if site.kind == "local":
            from vortex_hep.batch.worker.plugin import DeafPlugin

            client.register_plugin(DeafPlugin())
        yield client
