"""Fixtures of the storage tests: a local folder, a file system in memory, an XRootD server."""

from __future__ import annotations

import uuid

import fsspec
import pytest

from tests.xrootd import xrootd, xrootd_base  # noqa: F401 - fixtures


@pytest.fixture(params=["local", "memory", pytest.param("root", marks=pytest.mark.network)])
def place(request, tmp_path):
    """Path or URL of an empty folder that is there."""
    if request.param == "local":
        yield str(tmp_path)
    elif request.param == "root":
        yield request.getfixturevalue("xrootd").url("data")
    else:
        filesystem = fsspec.filesystem("memory")
        name = f"/{uuid.uuid4().hex}"
        filesystem.mkdir(name)
        yield f"memory:/{name}"
        filesystem.rm(name, recursive=True)
