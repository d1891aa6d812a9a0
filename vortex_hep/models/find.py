"""Search for models that archives name but do not hold, each loaded once per process."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TypeAlias

from vortex_hep.codec.container.container import KIND_MODEL, ContainerReader
from vortex_hep.core import storage
from vortex_hep.errors import (
    DeniedError,
    MissingError,
    ModelMismatchError,
    UnsupportedTypeError,
)
from vortex_hep.models.model import Model

#: What calls take as a model: itself, or the path or URL of its file.
ModelLike: TypeAlias = Model | str | os.PathLike[str] | None

#: Folders looked at: the archive's own, and so many above it.
LEVELS_ABOVE = 3
#: Models kept in memory.
KEPT = 4

_models: OrderedDict[str, Model] = OrderedDict()
_lock = threading.Lock()


def model_file_name(sha256: str) -> str:
    """Name of the file in which the archives of a dataset find their model.

    Parameters
    ----------
    sha256 : str
        Hexadecimal, as :attr:`~vortex_hep.models.model.Model.sha256`.

    Examples
    --------
    >>> model_file_name("0123456789abcdef" * 4)
    '0123456789abcdef.vxm'
    """
    return f"{sha256[:16]}.vxm"


def load_model(path: str | os.PathLike[str]) -> Model:
    """Load a model, unless this process has it already.

    Parameters
    ----------
    path : str or path
        Of a ``.vxm`` file, or an fsspec URL.

    Raises
    ------
    SourceError, NotVortexError, CorruptionError
        As :meth:`~vortex_hep.models.model.Model.load`.
    """
    with ContainerReader(path) as reader:
        named = reader.metadata.get("model") if reader.kind == KIND_MODEL else None
    sha256 = named.get("sha256") if isinstance(named, dict) else None
    with _lock:
        found = _models.get(str(sha256))
        if found is None:
            found = Model.load(path)
            _models[found.sha256] = found
        _models.move_to_end(found.sha256)
        while len(_models) > KEPT:
            _models.popitem(last=False)
        return found


def model_of(model: ModelLike) -> Model | None:
    """Give the model that a caller names: itself, or the one in a file.

    Raises
    ------
    UnsupportedTypeError
        It is something else.
    SourceError, NotVortexError, CorruptionError
        As :meth:`~vortex_hep.models.model.Model.load`.
    """
    if model is None or isinstance(model, Model):
        return model
    if isinstance(model, (str, os.PathLike)):
        return load_model(model)
    raise UnsupportedTypeError(
        f"model must be a Model or the path of one, not {type(model).__name__}",
        hint='pass vortex_hep.train(...), or "ttbar.vxm"',
    )


def find_model(sha256: str, archive: str | os.PathLike[str] | None, name: str) -> Model:
    """Find the model of an archive beside it, or in one of the folders above.

    Parameters
    ----------
    sha256 : str
        Of the model.
    archive : str, path or None
        Path or URL of the archive; None where it is a file object.
    name : str
        By which errors call the archive.

    Raises
    ------
    ModelMismatchError
        There is none, or what is there is another one.
    SourceError, NotVortexError, CorruptionError
        What is there cannot be read.
    """
    with _lock:
        known = _models.get(sha256)
    if known is not None:
        return known
    file_name = model_file_name(sha256)
    tried = []
    for folder in _folders(archive):
        path = storage.join(folder, file_name)
        try:
            model = load_model(path)
        except MissingError:
            tried.append(folder)
            continue
        except DeniedError:  # servers show users a part of their folders only
            tried.append(f"{folder} (no permission)")
            continue
        if model.sha256 != sha256:
            msg = f"expected the model {sha256[:16]}..., got {model.sha256[:16]}..."
            raise ModelMismatchError(msg, path=path)
        return model
    looked = f", and there is no {file_name} in {', '.join(tried)}" if tried else ""
    raise ModelMismatchError(
        f"needs model {sha256[:16]}..., which is not stored here{looked}", path=name,
        hint="pass it with model=Model.load(...) or --model, or put it beside the archive",
    )  # fmt: skip


def _folders(archive: str | os.PathLike[str] | None) -> list[str]:
    if archive is None:
        return []
    folder = storage.absolute(archive)
    out: list[str] = []
    for _ in range(1 + LEVELS_ABOVE):
        above = storage.parent(folder)
        if above == folder:
            break
        out.append(above)
        folder = above
    return out
