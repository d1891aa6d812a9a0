"""The place of a data set's model, where readers of its archives find it."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from vortex_hep.batch.names import below, path_parts
from vortex_hep.core import storage
from vortex_hep.core.storage.paths import server_of
from vortex_hep.errors import MissingError, ModelMismatchError, OutputError, VortexError
from vortex_hep.models.find import LEVELS_ABOVE, model_file_name
from vortex_hep.models.model import Model


def store_model(model: Model, targets: Sequence[str], output: str | None) -> list[str]:
    """Store a model where readers of archives look for it, and read it back.

    Parameters
    ----------
    model : Model
    targets : sequence of str
        The archives.
    output : str or None
        Folder they are all in, or below; None where they lie beside their sources.

    Returns
    -------
    list of str
        Paths or URLs of the model. One in ``output``, or in the folder that all archives have in
        common if that may be written; and one for each part of the tree that is too deep below.

    Raises
    ------
    OutputError
        It cannot be written.
    ModelMismatchError
        Another file has its name.
    """
    folders = sorted({storage.parent(target) for target in targets})
    name = model_file_name(model.sha256)
    top = output if output is not None else _common(folders)
    if top is not None and (output is not None or _writable(top)):
        places = sorted({_near(folder, top) for folder in folders})
    else:
        places = folders
    paths = [storage.join(place, name) for place in places]
    for path in paths:
        _store(model, path)
    return paths


def _common(folders: Sequence[str]) -> str | None:
    """The folder that all are in, or None."""
    if len({server_of(folder) for folder in folders}) != 1:
        return None
    if not storage.is_url(folders[0]):
        return os.path.commonpath([os.path.abspath(folder) for folder in folders])  # noqa: PTH100
    top = folders[0]
    while not all(folder == top or below(folder, top) is not None for folder in folders):
        above = storage.parent(top)
        if above == top:
            return None
        top = above
    return top


def _writable(folder: str) -> bool:
    try:
        storage.check_writable(folder)
    except OutputError:
        return False
    return True


def _near(folder: str, top: str) -> str:
    """The folder ``top``, or where that is too far above, one that is near enough."""
    if len(path_parts(folder)) - len(path_parts(top)) <= LEVELS_ABOVE:
        return top
    for _ in range(LEVELS_ABOVE):
        folder = storage.parent(folder)
    return folder


def _store(model: Model, path: str) -> None:
    if not _is_there(model, path):
        storage.make_folder(storage.parent(path))
        try:
            model.save(path)
        except OutputError as error:
            if error.errno != errno.EEXIST:  # another job stored it meanwhile
                raise
    if not _is_there(model, path):
        raise OutputError("the model is not there after it was written", path=path)


def _is_there(model: Model, path: str) -> bool:
    """Whether the model lies there, whole.

    Raises
    ------
    ModelMismatchError
        Something else does.
    """
    try:
        found = Model.load(path)
    except MissingError:
        return False
    except VortexError as error:
        if isinstance(error, OSError):
            raise
        raise _other(path, str(error)) from error
    if found.sha256 != model.sha256:
        raise _other(path, f"this is model {found.sha256[:16]}...")
    return True


def _other(path: str, what: str) -> ModelMismatchError:
    return ModelMismatchError(
        f"the model of this data set belongs here, but {what}", path=path, hint="move it away"
    )
