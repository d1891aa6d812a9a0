"""The plan of a job, made and checked before it begins."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vortex_hep.batch.joboptions import JobOptions
from vortex_hep.batch.names import ARCHIVE_SUFFIX
from vortex_hep.batch.plan.inputs import InputFile, find_inputs
from vortex_hep.batch.plan.placing import original_suffixes, place
from vortex_hep.batch.plan.preflight import check
from vortex_hep.batch.workoptions import COMMANDS, WorkOptions
from vortex_hep.codec.container.container import KIND_ARCHIVE, ContainerReader
from vortex_hep.core import storage
from vortex_hep.core import version as _version
from vortex_hep.errors import ModelMismatchError, UnsupportedTypeError, VortexError
from vortex_hep.models.find import find_model, model_of
from vortex_hep.models.model import Model

#: Names of journals where none is given, by command.
JOURNALS = {
    "compress": "vortex-job.sqlite",
    "verify": "vortex-verify.sqlite",
    "restore": "vortex-restore.sqlite",
}
#: Archives that are looked at until one can be read.
_TRIES = 5


@dataclass(frozen=True)
class JobPlan:
    """A job before it begins; nothing but headers was read.

    Parameters
    ----------
    command : str
        "compress", "verify" or "restore".
    files : list of InputFile
        With their targets.
    journal : str
        Where it is, or will be.
    options : JobOptions
    output : str or None
        Folder of the outputs; None where each lies beside its source.
    against : str or None
        Folder of what archives are verified against.
    model : Model or None
    model_path : str or None
        Where it was read from.
    inputs : tuple of str
        As they were given, with absolute paths.
    """

    command: str
    files: list[InputFile]
    journal: str
    options: JobOptions = field(default_factory=JobOptions)
    output: str | None = None
    against: str | None = None
    model: Model | None = None
    model_path: str | None = None
    inputs: tuple[str, ...] = ()

    @property
    def targets(self) -> list[str | None]:
        """Where the outputs go; what they are compared with, in verifying."""
        return [file.target for file in self.files]

    def document(self, model_paths: Sequence[str]) -> dict[str, Any]:
        """What the journal says of the job."""
        return {
            "command": self.command,
            "job": secrets.token_hex(4),
            "version": _version.__version__,
            "created": time.time(),
            "inputs": list(self.inputs),
            "output": self.output,
            "against": self.against,
            "options": self.options.document,
            "model_sha256": None if self.model is None else self.model.sha256,
            "model_paths": list(model_paths),
        }


def make_plan(
    command: str,
    inputs: Sequence[str | os.PathLike[str]],
    *,
    model: Model | str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    options: JobOptions | None = None,
    journal: str | os.PathLike[str] | None = None,
    against: str | os.PathLike[str] | None = None,
) -> JobPlan:
    """Find the files of a job, name its outputs, and check what can be checked before it begins.

    Parameters
    ----------
    command : {"compress", "verify", "restore"}
    inputs : sequence of str or path
        See :func:`~vortex_hep.batch.plan.inputs.find_inputs`.
    model : Model, str or path, optional
        To compress with; or that archives need and do not have beside them.
    output : str or path, optional
        Folder or URL for the outputs; by default each lies beside its source.
    options : JobOptions, optional
    journal : str or path, optional
        A local file. By default it lies in the output folder where that is local, else in the
        current one.
    against : str or path, optional
        Folder or URL of the sources that archives are verified against.

    Returns
    -------
    JobPlan

    Raises
    ------
    VortexError
        Whatever is wrong; in one line, also if it is several things.
    """
    if command not in COMMANDS:
        raise UnsupportedTypeError(
            f"unknown command {command!r} of a job", hint=f"one of {', '.join(COMMANDS)}"
        )
    if isinstance(inputs, (str, os.PathLike)):
        inputs = [inputs]
    given = tuple(_absolute_input(os.fspath(one)) for one in inputs)
    folder = None if output is None else storage.absolute(output)
    compared = None if against is None else storage.absolute(against)
    options = options or JobOptions()
    if command == "compress":
        files = _placed(_found(given), folder, ARCHIVE_SUFFIX)
        trees = options.tree_names
        loaded = check(files, output=folder, model=model, trees=trees)
    else:
        files = _found(given, suffixes=[ARCHIVE_SUFFIX])
        if command == "verify":
            check(files, output=None)
            if compared is not None:
                files = _placed(files, compared, original_suffixes(files))
        else:
            files = _placed(files, folder, original_suffixes(files))
            check(files, output=folder)
        loaded = _model_of_archives(files, model)
    return JobPlan(
        command, files, _journal(command, folder, journal), options, folder,
        compared, loaded,
        storage.absolute(model) if isinstance(model, (str, os.PathLike)) else None, given,
    )  # fmt: skip


def _absolute_input(text: str) -> str:
    """An input whose path means the same on workers, which have other working folders.

    Examples
    --------
    >>> _absolute_input("@/data/../files.txt")
    '@/files.txt'
    """
    mark = "@" if text.startswith("@") else ""
    return mark + storage.absolute(text.removeprefix(mark))


def _found(inputs: Sequence[str], suffixes: Sequence[str] | None = None) -> list[InputFile]:
    files = find_inputs(inputs, suffixes=suffixes)
    # Lists name files from their own folder, which leaves ".." in the paths.
    return [replace(file, source=storage.absolute(file.source)) for file in files]


def _placed(
    files: Sequence[InputFile], output: str | None, suffix: str | Sequence[str]
) -> list[InputFile]:
    targets = place(files, output=output, suffix=suffix)
    return [replace(file, target=target) for file, target in zip(files, targets, strict=True)]


def _journal(command: str, output: str | None, journal: str | os.PathLike[str] | None) -> str:
    if journal is not None:
        return os.fspath(journal)
    local = output is not None and not storage.is_url(output)
    return storage.join(output, JOURNALS[command]) if local and output else JOURNALS[command]


def _model_of_archives(
    files: Sequence[InputFile], model: Model | str | os.PathLike[str] | None
) -> Model | None:
    """The model that was given for archives, loaded; the first archive must not need another.

    Raises
    ------
    ModelMismatchError
        It needs another, or one that is found nowhere.
    """
    given = model_of(model)
    for file in files[:_TRIES]:
        try:
            with ContainerReader(file.source) as reader:
                named = reader.metadata.get("model") if reader.kind == KIND_ARCHIVE else None
        except VortexError:
            continue  # what ails this archive will be said where its turn comes
        if not isinstance(named, dict) or named.get("tables") is not None:
            break
        sha256 = str(named.get("sha256"))
        if given is None:
            find_model(sha256, file.source, file.source)
        elif given.sha256 != sha256:
            raise ModelMismatchError(
                f"made with model {sha256[:16]}..., but given {given.sha256[:16]}...",
                path=file.source, hint="pass the model that the archive names",
            )  # fmt: skip
        break
    return given


def work_options_of(command: str, job: str, options: JobOptions, *, cores: int = 1) -> WorkOptions:
    """What workers are told of a job."""
    return WorkOptions(
        command=command,
        job=job,
        threads=options.threads or cores,
        verify=options.verify,
        settle=options.settle,
        overwrite=options.overwrite,
        effort=options.effort,
        # Where an archive promises the very bytes, they are restored.
        exact=options.exact or command == "restore",
        embed_model=options.embed_model,
        trees=options.tree_names,
        compression=options.compression,
    )
