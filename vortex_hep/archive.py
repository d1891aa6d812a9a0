"""Reading archives as one reads ROOT files with uproot."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, BinaryIO

from vortex_hep import arrays as build
from vortex_hep.archive_info import tree_info
from vortex_hep.archive_tree import ArchiveBranch, ArchiveTree
from vortex_hep.codec import classical
from vortex_hep.codec.container import KIND_ARCHIVE, ContainerReader, check_decoded
from vortex_hep.errors import CorruptionError, ModelMismatchError, NotFoundError, NotVortexError
from vortex_hep.model import CHUNK_REMAINDER, Model
from vortex_hep.options import thread_count

__all__ = ["Archive", "ArchiveBranch", "ArchiveTree", "open"]


class Archive(Mapping[str, ArchiveTree]):
    """An open archive: its trees by name.

    Parameters
    ----------
    source : str, path or binary file
        A path, an fsspec URL, or a seekable file. Only what is asked for is read.
    model : Model, optional
        Needed where the archive names a model but does not hold it.
    threads : int, optional
        Workers; one per core by default.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        *,
        model: Model | None = None,
        threads: int | None = None,
    ) -> None:
        self.reader = ContainerReader(source)
        self.path = str(self.reader.path)
        try:
            if self.reader.kind != KIND_ARCHIVE:
                raise NotVortexError("this is a model, not an archive", path=self.path)
            self._given = model
            self._model: Model | None = None
            self._check_model()
            documents = self.reader.metadata.get("trees")
            if not isinstance(documents, list):
                raise CorruptionError("the archive lists no trees", path=self.path)
            workers = thread_count(threads)
            self.outer = ThreadPoolExecutor(workers)
            self.inner = ThreadPoolExecutor(workers)
            trees = [ArchiveTree(self, d) for d in documents]
            self.trees = {t.name: t for t in trees}
        except BaseException:
            self.reader.close()
            raise

    def _check_model(self) -> None:
        """Compare names of models before anything is decoded."""
        document = self.reader.metadata.get("model")
        if document is None or self._given is None:
            return
        if document.get("tables") is None and self._given.sha256 != document.get("sha256"):
            raise ModelMismatchError(
                f"made with model {str(document.get('sha256'))[:16]}..., but given"
                f" {self._given.sha256[:16]}...",
                path=self.path, hint="pass the model that the archive names",
            )  # fmt: skip

    @property
    def model(self) -> Model | None:
        """The model that the archive was made with; None where it needs none."""
        document = self.reader.metadata.get("model")
        if document is None:
            return None
        if self._model is None:
            if document.get("tables") is not None:
                self._model = Model.read_from(self.reader, document)
            elif self._given is not None:
                self._model = self._given
            else:
                raise ModelMismatchError(
                    f"needs model {str(document.get('sha256'))[:16]}..., which is not stored here",
                    path=self.path, hint="pass it with model=Model.load(...) or --model",
                )  # fmt: skip
        return self._model

    def model_for(self, tree: str) -> dict[str, Any]:
        """Table models of a tree's plans."""
        model = self.model
        if model is None:
            return {}
        plans = {p.name for p in self[tree].plans}
        return {k: v for k, v in model.tables(tree).items() if k in plans}

    def __getitem__(self, name: str) -> ArchiveTree:
        key = name.split(";")[0] if name not in self.trees else name
        if key not in self.trees:
            known = ", ".join(self.trees) or "none"
            raise NotFoundError(f"no such tree; there are {known}", path=self.path, tree=name)
        return self.trees[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.trees)

    def __len__(self) -> int:
        return len(self.trees)

    def __repr__(self) -> str:
        return f"<Archive {self.path!r}: {', '.join(self.trees)}>"

    def remainder(self) -> Iterator[tuple[str, bytes]]:
        """Named blobs of what is not columns; see :class:`FileSource`."""
        for name, number in self.reader.metadata.get("remainder", []):
            row = self.reader.chunks[number]
            payload = self.reader.read(number)
            if row["kind"] != CHUNK_REMAINDER or len(payload) < 2:
                raise CorruptionError("a chunk of the remainder is none", path=self.path)
            coder = int.from_bytes(payload[:2], "little")
            blob = classical.decode(coder, payload[2:], "|u1", int(row["decoded_size"])).tobytes()
            check_decoded(row, blob, path=self.path)
            yield str(name), blob

    def info(self) -> dict[str, Any]:
        """Sizes of everything: file, model, trees, tables and columns."""
        chunks = self.reader.chunks
        document = self.reader.metadata.get("model")
        model_bytes = 0
        if document is not None and document.get("tables") is not None:
            model_bytes = sum(int(chunks[i]["stored_size"]) for _, _, i in document["tables"])
        trees = [_tree_info(t, chunks) for t in self.trees.values()]
        return {
            "path": self.path,
            "format_version": 1,
            "writer": self.reader.metadata.get("writer"),
            "stored_bytes": self.reader.size,
            "raw_bytes": sum(table["raw_bytes"] for t in trees for table in t["tables"]),
            "remainder_bytes": int(
                sum(chunks[i]["stored_size"] for _, i in self.reader.metadata.get("remainder", []))
            ),
            "model": {
                "sha256": None if document is None else document.get("sha256"),
                "embedded": document is not None and document.get("tables") is not None,
                "bytes": model_bytes,
            },
            "trees": trees,
        }

    def close(self) -> None:
        """Close the file and stop the workers."""
        self.reader.close()
        self.outer.shutdown()
        self.inner.shutdown()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open(  # noqa: A001 - the name that uproot and h5py have taught users
    path: str | os.PathLike[str] | BinaryIO,
    *,
    model: Model | None = None,
    threads: int | None = None,
) -> Archive:
    """Open an archive for reading; see :class:`Archive`."""
    return Archive(path, model=model, threads=threads)
