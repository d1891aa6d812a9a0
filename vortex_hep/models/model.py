"""Models: the trained networks of a dataset's tables, under one SHA-256."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, BinaryIO

from vortex_hep.codec.container.container import (
    FEATURE_SEQUENCES,
    KIND_MODEL,
    ContainerReader,
    ContainerWriter,
    atomic_output,
    check_decoded,
    xxh3,
)
from vortex_hep.codec.container.container_format import kind_with_article
from vortex_hep.codec.predictors.text import formula
from vortex_hep.codec.sections import join
from vortex_hep.core.text import fault_of
from vortex_hep.errors import CorruptionError, NotVortexError, VortexError
from vortex_hep.nn.event import weights
from vortex_hep.nn.event.model import EventModel
from vortex_hep.nn.sequence import serial
from vortex_hep.nn.sequence.model import AnyModel, SequenceModel

#: Chunk kinds (SPEC "Chunk kinds").
CHUNK_TABLE_MODEL = 1
CHUNK_REMAINDER = 2
CHUNK_TABLE = 3
CHUNK_SEQUENCE_MODEL = 4

#: How each kind of chunk stores a model: modules with ``canonical``, ``dump`` and ``load``.
_FORMS: dict[int, Any] = {CHUNK_TABLE_MODEL: weights, CHUNK_SEQUENCE_MODEL: serial}


def _kind(model: AnyModel) -> int:
    return CHUNK_SEQUENCE_MODEL if isinstance(model, SequenceModel) else CHUNK_TABLE_MODEL


def _form(model: AnyModel) -> Any:
    return _FORMS[_kind(model)]


class Model:
    """Event models and transformers by tree and plan.

    Parameters
    ----------
    trees : mapping of str to mapping of str to EventModel or SequenceModel
        By tree name, then by plan name; a plan without an entry has no network.
    classical : mapping of str to sequence of str, optional
        By tree name: columns that training saw and left to the classical coders. Only tells
        users what is new to the model in a file.

    Notes
    -----
    Archives name their model by :attr:`sha256`, which is taken over the integers that decide
    the frequencies, not over the file they are stored in.
    """

    def __init__(
        self,
        trees: Mapping[str, Mapping[str, AnyModel]],
        classical: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.trees = {tree: dict(tables) for tree, tables in sorted(trees.items())}
        self.classical = {tree: tuple(names) for tree, names in sorted((classical or {}).items())}

    def __repr__(self) -> str:
        count = sum(map(len, self.trees.values()))
        return (
            f"<Model {self.sha256[:16]}...: {count} tables of {', '.join(self.trees) or 'nothing'}>"
        )

    @cached_property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the canonical bytes of all tables."""
        digest = hashlib.sha256()
        for tree, plan, model in self._items():
            names = (name.encode("utf-8", "surrogatepass") for name in (tree, plan))
            digest.update(join([*names, _form(model).canonical(model)]))
        return digest.hexdigest()

    @cached_property
    def _stored(self) -> list[bytes]:
        return [_form(model).dump(model) for _, _, model in self._items()]

    @cached_property
    def nbytes(self) -> int:
        """Bytes of the tables as stored."""
        return sum(map(len, self._stored))

    def _items(self) -> list[tuple[str, str, AnyModel]]:
        return [
            (tree, plan, tables[plan])
            for tree, tables in self.trees.items()
            for plan in sorted(tables)
        ]

    @property
    def features(self) -> int:
        """Features that a reader must know of files that hold or need this model."""
        sequences = any(isinstance(m, SequenceModel) for _, _, m in self._items())
        return FEATURE_SEQUENCES if sequences else 0

    def table_models(self, tree: str) -> dict[str, EventModel]:
        """Event models of a tree's plans, by plan name, without transformers."""
        return {n: m for n, m in self.tables(tree).items() if isinstance(m, EventModel)}

    def tables(self, tree: str) -> dict[str, AnyModel]:
        """Models of a tree's plans, by plan name; empty where the tree is unknown."""
        return dict(self.trees.get(tree, {}))

    def summary(self) -> list[dict[str, Any]]:
        """Sizes of every table's network: tree, table, kind, fields, tokens, widths, bytes."""
        return [
            {
                "tree": tree,
                "table": plan or "(event core)",
                "kind": "sequence" if isinstance(m, SequenceModel) else "event",
                "fields": len(m.columns if isinstance(m, SequenceModel) else m.fields),
                "tokens": m.shape.types if isinstance(m, SequenceModel) else m.shape.tokens,
                "hidden": m.shape.width if isinstance(m, SequenceModel) else m.shape.hidden,
                "head": m.shape.ff if isinstance(m, SequenceModel) else m.shape.head,
                "parameters": sum(w.size for w in m.weights.values()),
                "bytes": len(stored),
            }
            for (tree, plan, m), stored in zip(self._items(), self._stored, strict=True)
        ]

    def predictions(self) -> list[dict[str, Any]]:
        """Columns that are predicted from others by arithmetic.

        Returns
        -------
        list of dict
            ``tree``, ``table``, ``column``, ``component``, ``formula``, and bits per value on
            the rows held out in training: ``classical_bits`` by the best classical coder,
            ``bits`` with the prediction.
        """
        return [
            {
                "tree": tree,
                "table": plan or "(event core)",
                "column": f.columns[0],
                "component": f.component,
                "formula": formula(f.predictor, plan),
                "classical_bits": round(float(m.expected[k, 1]), 2),
                "bits": round(float(m.expected[k, 0]), 2),
            }
            for tree, plan, m in self._items()
            if isinstance(m, EventModel)
            for k, f in enumerate(m.fields)
            if f.predictor is not None
        ]

    def add_to(self, writer: ContainerWriter) -> dict[str, Any]:
        """Append the tables to a container; return the metadata by which they are found."""
        entries = []
        for (tree, plan, model), payload in zip(self._items(), self._stored, strict=True):
            whole = _form(model).canonical(model)
            chunk = writer.add(
                _kind(model), payload, decoded_xxh3=xxh3(whole), decoded_size=len(whole)
            )
            entries.append([tree, plan, chunk])
        return {"sha256": self.sha256, "tables": entries}

    @classmethod
    def read_from(cls, reader: ContainerReader, document: Mapping[str, Any]) -> Model:
        """Read the tables that :meth:`add_to` appended, and check that they are those named.

        Raises
        ------
        CorruptionError
            The stored tables are damaged or not the ones named.
        """
        trees: dict[str, dict[str, AnyModel]] = {}
        try:
            entries = [(str(t), str(p), int(c)) for t, p, c in document["tables"]]
            named = str(document["sha256"])
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptionError(
                f"invalid key 'model' in the metadata: {fault_of(error)}", path=reader.path
            ) from error
        if not all(0 <= c < len(reader.chunks) for _, _, c in entries):
            raise CorruptionError(
                "'tables' of the model names a chunk that is missing", path=reader.path
            )
        payloads = reader.read_many([c for _, _, c in entries])
        for (tree, plan, chunk), payload in zip(entries, payloads, strict=True):
            try:
                form = _FORMS.get(int(reader.chunks[chunk]["kind"]))
                if form is None:
                    raise CorruptionError(f"chunk {chunk} of the model is of another kind")
                table: AnyModel = form.load(payload)
                if table.table != plan or plan in trees.get(tree, {}):
                    raise CorruptionError(
                        f"the model of table {table.table!r} is listed twice or as {plan!r}"
                    )
                check_decoded(reader.chunks[chunk], _form(table).canonical(table), path=reader.path)
            except VortexError as error:
                error.path, error.tree, error.branch = reader.path, tree, plan
                raise
            trees.setdefault(tree, {})[plan] = table
        model = cls(trees)
        if model.sha256 != named:
            raise CorruptionError(
                f"expected the model {named[:16]}..., got {model.sha256[:16]}...", path=reader.path
            )
        return model

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the model to a ``.vxm`` file.

        Parameters
        ----------
        path : str or path
        overwrite : bool
            Whether an existing file may be replaced.

        Raises
        ------
        OutputError
            The file exists, or cannot be written.
        """
        with atomic_output(path, overwrite=overwrite) as file:
            self.write_to(file)

    def write_to(self, file: BinaryIO) -> None:
        """Write what :meth:`save` writes to an open file.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        writer = ContainerWriter(file, kind=KIND_MODEL, features=self.features)
        writer.finish({"model": self.add_to(writer), "classical": self.classical})

    @classmethod
    def load(cls, path: str | os.PathLike[str] | BinaryIO) -> Model:
        """Read a ``.vxm`` file.

        Parameters
        ----------
        path : str, path or binary file
            A path, a URL, or a seekable file.

        Raises
        ------
        SourceError
            The file cannot be read.
        NotVortexError
            The file is something else.
        CorruptionError
            The file is damaged.
        """
        with ContainerReader(path) as reader:
            if reader.kind != KIND_MODEL:
                raise NotVortexError(
                    f"this is {kind_with_article(reader.kind)}, not a model", path=reader.path,
                    hint="models end in .vxm and come from 'vortex-hep train'",
                )  # fmt: skip
            document = reader.metadata.get("model")
            if not isinstance(document, dict):
                raise CorruptionError(
                    "key 'model' is missing in the metadata, or not an object", path=reader.path
                )
            model = cls.read_from(reader, document)
            try:
                classical = reader.metadata.get("classical", {})
                model.classical = {str(t): tuple(map(str, names)) for t, names in classical.items()}
            except (AttributeError, TypeError) as error:
                raise CorruptionError(
                    f"invalid key 'classical' in the metadata: {fault_of(error)}",
                    path=reader.path,
                ) from error
            return model
