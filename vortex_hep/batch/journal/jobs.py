"""Journals of jobs: created from plans, and found again by later runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from vortex_hep.batch.joboptions import JobOptions
from vortex_hep.batch.journal.journal import Journal
from vortex_hep.batch.plan.modelplaces import store_model
from vortex_hep.batch.plan.plan import JobPlan
from vortex_hep.core import storage
from vortex_hep.core.storage.paths import same_file_key
from vortex_hep.core.text import fault_of
from vortex_hep.errors import (
    CorruptionError,
    ModelMismatchError,
    NetworkError,
    UnsupportedTypeError,
    VortexError,
)
from vortex_hep.models.find import load_model
from vortex_hep.models.model import Model

#: Options that outputs depend on: a job goes on with these alone.
_LASTING = ("effort", "exact", "embed_model", "trees", "compression")


@contextlib.contextmanager
def journal_of(planned: JobPlan) -> Iterator[Journal]:
    """The journal of a plan: a new one, or that of earlier runs with the new files added."""
    if not os.path.lexists(planned.journal):
        document = planned.document(_stored_model(planned))
        with Journal.create(planned.journal, document, planned.files) as journal:
            yield journal
        return
    with Journal.open(planned.journal) as journal:
        document = journal.document
        _check_same(planned, document, planned.journal)
        document["model_paths"] = _stored_model(planned)
        document["options"] = planned.options.document
        journal.set_document(document)
        journal.add(planned.files)
        yield journal


def _stored_model(planned: JobPlan) -> list[str]:
    """Store the model where readers will look for it, or a later run; return where it lies."""
    model = planned.model
    if model is None:
        return []
    if planned.command == "compress" and not planned.options.embed_model:
        targets = [target for target in planned.targets if target is not None]
        return store_model(model, targets, planned.output)
    if planned.model_path is not None:
        return [planned.model_path]
    return store_model(model, [], storage.parent(os.path.abspath(planned.journal)))  # noqa: PTH100


def _check_same(planned: JobPlan, document: dict[str, Any], path: str) -> None:
    """Compare a plan with the job that a journal is of.

    Raises
    ------
    UnsupportedTypeError
    """
    earlier = {**document, **dict(document.get("options") or {})}
    now: dict[str, Any] = {
        "command": planned.command,
        "output": planned.output,
        "against": planned.against,
        "model_sha256": None if planned.model is None else planned.model.sha256,
        **{name: planned.options.document[name] for name in _LASTING},
    }
    for name, value in now.items():
        before = earlier.get(name)
        if name in ("output", "against") and value and before:
            value, before = same_file_key(value), same_file_key(str(before))
        if value != before:
            raise UnsupportedTypeError(
                f"this is the journal of another job: {name} was {before!r}, and is {value!r} now",
                path=path, hint="name another journal",
            )  # fmt: skip


def model_of(journal: Journal) -> Model | None:
    """The model of a job that goes on.

    Raises
    ------
    ModelMismatchError
        It is not where it was.
    NetworkError
        Where it was does not answer.
    """
    document = journal.document
    sha256 = document.get("model_sha256")
    if sha256 is None:
        return None
    problem = "its path is not in the journal"
    silent: NetworkError | None = None
    for path in document.get("model_paths") or ():
        try:
            model = load_model(str(path))
        except NetworkError as error:
            silent = error
            continue
        except VortexError as error:
            problem = str(error)
            continue
        if model.sha256 == sha256:
            return model
        problem = f"{path} is another one"
    if silent is not None:
        raise silent
    raise ModelMismatchError(
        f"the job's model {str(sha256)[:16]}... is not where it was: {problem}", path=journal.path,
        hint="put it back",
    )  # fmt: skip


def options_of(document: dict[str, Any], path: str) -> JobOptions:
    """Options of the job of a journal.

    Raises
    ------
    CorruptionError
    """
    try:
        if not isinstance(document["job"], str) or not isinstance(document["command"], str):
            msg = "'job' and 'command' of the job's description must be text"
            raise CorruptionError(msg, path=path)
        return JobOptions.of_document(document["options"])
    except (KeyError, AttributeError, UnsupportedTypeError) as error:
        msg = f"invalid description of the job: {fault_of(error)}"
        raise CorruptionError(msg, path=path) from error
