"""The checkpoint of a training: finished tables on disk, so that it can be resumed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vortex_hep.codec.container.container import (
    KIND_MODEL,
    ContainerReader,
    ContainerWriter,
    atomic_output,
)
from vortex_hep.core.schema import TreeSource
from vortex_hep.errors import ModelMismatchError
from vortex_hep.models.model import Model
from vortex_hep.nn.event.model import EventModel


def _fingerprint(fit: Any, trees: Mapping[str, Sequence[TreeSource]], base: Model | None) -> str:
    """What a checkpoint must have been made from to be of use."""
    parts = [repr((fit.steps, fit.passes, fit.shrink, fit.self_contained, fit.reuse, fit.seed))]
    if base is not None:
        parts.append(base.sha256)
    if fit.without:
        parts.append(repr(sorted(fit.without)))
    for name, group in trees.items():
        parts += [name, *(repr((t.num_entries, t.tables)) for t in group)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Checkpoint:
    """Tables that are done, in a file of the model format.

    Parameters
    ----------
    path : path or None
        None keeps nothing.
    fit : FitOptions
    trees : mapping of str to sequence of TreeSource
    base : Model, optional
        What the training starts from.

    Raises
    ------
    ModelMismatchError
        The file belongs to another training.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        fit: Any,
        trees: Mapping[str, Sequence[TreeSource]],
        base: Model | None = None,
    ) -> None:
        self._path = None if path is None else Path(path)
        self._made_from = _fingerprint(fit, trees, base)
        self._tables: dict[str, dict[str, EventModel | None]] = {}
        if self._path is None or not self._path.exists():
            return
        with ContainerReader(self._path) as reader:
            document = reader.metadata
            if document.get("made_from") != self._made_from:
                raise ModelMismatchError(
                    "this checkpoint is of other data or options", path=str(path),
                    hint="remove it, or give another --checkpoint",
                )  # fmt: skip
            stored = Model.read_from(reader, document["model"])
        for tree, plan in document["without"]:
            self._tables.setdefault(tree, {})[plan] = None
        for tree in stored.trees:
            self._tables.setdefault(tree, {}).update(stored.table_models(tree))

    def done(self, tree: str) -> dict[str, EventModel | None]:
        """Finished tables of a tree; None for those that get no network."""
        return dict(self._tables.get(tree, {}))

    def put(self, tree: str, plan: str, table: EventModel | None) -> None:
        """Add a finished table and write the file anew."""
        self._tables.setdefault(tree, {})[plan] = table
        if self._path is None:
            return
        model = Model(
            {
                name: {k: v for k, v in tables.items() if v is not None}
                for name, tables in self._tables.items()
            }
        )
        without = [[t, p] for t, ps in self._tables.items() for p, m in ps.items() if m is None]
        with atomic_output(self._path, overwrite=True) as file:
            writer = ContainerWriter(file, kind=KIND_MODEL)
            writer.finish(
                {
                    "made_from": self._made_from,
                    "model": model.add_to(writer),
                    "without": without,
                }
            )
