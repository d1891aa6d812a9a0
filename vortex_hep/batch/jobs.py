"""The Python interface of jobs: compress, verify or restore a data set, and resume.

>>> from vortex_hep.batch.jobs import compress_dataset
>>> from vortex_hep.batch.site.site import Site
>>> site = Site(workers=1)  # one process of this machine
>>> summary = compress_dataset(["[abc].root"], model="ttbar.vxm", output="archives", site=site)
>>> summary.done, summary.failed
(3, 0)

Workers are processes that import the script they are started from: keep such calls in it behind
``if __name__ == "__main__":``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vortex_hep.batch.joboptions import JobOptions
from vortex_hep.batch.journal.jobs import journal_of, model_of, options_of
from vortex_hep.batch.journal.journal import Journal
from vortex_hep.batch.plan.plan import JobPlan, make_plan, work_options_of
from vortex_hep.batch.report.summary import JobSummary, summarise
from vortex_hep.batch.run.retries import Policy
from vortex_hep.batch.run.tidying import recheck, sweep
from vortex_hep.batch.site.clients import client_of
from vortex_hep.batch.site.site import Site
from vortex_hep.batch.states import State
from vortex_hep.core import storage
from vortex_hep.core.progress import Progress
from vortex_hep.core.terminal import ProgressLike, progress_of
from vortex_hep.core.text import one_line
from vortex_hep.errors import (
    OutputError,
)
from vortex_hep.models.model import Model

if TYPE_CHECKING:
    from vortex_hep.batch.run.run import Watch

__all__ = [
    "JobOptions",
    "JobPlan",
    "compress_dataset",
    "plan",
    "restore_dataset",
    "resume",
    "run_plan",
    "verify_dataset",
]

plan = make_plan


def compress_dataset(
    inputs: Sequence[str | os.PathLike[str]],
    *,
    model: Model | str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    options: JobOptions | None = None,
    site: Any = None,
    journal: str | os.PathLike[str] | None = None,
    progress: ProgressLike = None,
) -> JobSummary:
    """Compress many files: an archive of each, verified against it. Called again, it goes on.

    Parameters
    ----------
    inputs : sequence of str or path
        Files, folders, patterns, lists; see :func:`~vortex_hep.batch.plan.inputs.find_inputs`.
    model : Model, str or path, optional
        To compress with; see :func:`~vortex_hep.batch.plan.learning.train_on_dataset`. Without one,
        a model is fitted to each file, which is slow.
    output : str or path, optional
        Folder or URL below which the archives have the inputs' tree of folders. By default each
        archive lies beside its source.
    options : JobOptions, optional
    site : Site or distributed.Client, optional
        Where workers run: by default on this machine.
    journal : str or path, optional
        A local file; by default in the output folder where that is local, else in the current one.
    progress : Progress or bool, optional

    Returns
    -------
    JobSummary
        Failures of files are in it, they are not raised.

    Raises
    ------
    VortexError
        What was found wrong before the first file was read; or what ended the job: it can go on
        from its journal.
    """
    planned = make_plan(
        "compress", inputs, model=model, output=output, options=options, journal=journal
    )
    return run_plan(planned, site=site, progress=progress)


def verify_dataset(
    inputs: Sequence[str | os.PathLike[str]],
    *,
    model: Model | str | os.PathLike[str] | None = None,
    against: str | os.PathLike[str] | None = None,
    options: JobOptions | None = None,
    site: Any = None,
    journal: str | os.PathLike[str] | None = None,
    progress: ProgressLike = None,
) -> JobSummary:
    """Verify many archives by decoding all of each; compare them with their sources.

    Parameters
    ----------
    inputs : sequence of str or path
        Archives, or folders, patterns and lists of them.
    model : Model, str or path, optional
        Where the archives do not have it beside them.
    against : str or path, optional
        Folder or URL of the sources, in the archives' tree of folders.
    options, site, journal, progress
        As for :func:`compress_dataset`.

    Returns
    -------
    JobSummary

    Raises
    ------
    VortexError
        As :func:`compress_dataset`.
    """
    planned = make_plan(
        "verify", inputs, model=model, against=against, options=options, journal=journal
    )
    return run_plan(planned, site=site, progress=progress)


def restore_dataset(
    inputs: Sequence[str | os.PathLike[str]],
    *,
    model: Model | str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    options: JobOptions | None = None,
    site: Any = None,
    journal: str | os.PathLike[str] | None = None,
    progress: ProgressLike = None,
) -> JobSummary:
    """Restore the files of many archives.

    Parameters
    ----------
    inputs : sequence of str or path
        Archives, or folders, patterns and lists of them.
    model : Model, str or path, optional
        Where the archives do not have it beside them.
    output : str or path, optional
        Folder or URL for the files; by default each lies beside its archive.
    options, site, journal, progress
        As for :func:`compress_dataset`.

    Returns
    -------
    JobSummary

    Raises
    ------
    VortexError
        As :func:`compress_dataset`.
    """
    planned = make_plan(
        "restore", inputs, model=model, output=output, options=options, journal=journal
    )
    return run_plan(planned, site=site, progress=progress)


def run_plan(
    planned: JobPlan,
    *,
    site: Any = None,
    progress: ProgressLike = None,
    watch: Watch | None = None,
) -> JobSummary:
    """Carry out a plan. If its journal is there, the job goes on, and failed files are tried again.

    Parameters
    ----------
    planned : JobPlan
    site : Site or distributed.Client, optional
    progress : Progress or bool, optional
    watch : callable, optional
        Called with each :class:`~vortex_hep.batch.states.Outcome` that is final.

    Returns
    -------
    JobSummary

    Raises
    ------
    UnsupportedTypeError
        The journal is one of another job.
    VortexError
        As :func:`compress_dataset`.
    """
    with journal_of(planned) as journal:
        journal.reopen(failed=True)
        return _Job(journal, planned.model).run(site, progress, watch)


def resume(
    journal: str | os.PathLike[str],
    *,
    failed: bool = False,
    site: Any = None,
    progress: ProgressLike = None,
    watch: Watch | None = None,
) -> JobSummary:
    """Go on with a job.

    Parameters
    ----------
    journal : str or path
        Its journal.
    failed : bool
        Try the files that failed once more, too.
    site : Site or distributed.Client, optional
        It need not be the one of before.
    progress : Progress or bool, optional
    watch : callable, optional
        Called with each :class:`~vortex_hep.batch.states.Outcome` that is final.

    Returns
    -------
    JobSummary

    Raises
    ------
    MissingError
        There is no such journal.
    ModelMismatchError
        The model of the job is not where it was.
    VortexError
        As :func:`compress_dataset`.
    """
    with Journal.open(journal) as opened:
        model = model_of(opened)
        opened.reopen(failed=failed)
        return _Job(opened, model).run(site, progress, watch)


@dataclass
class _Job:
    """A job that is ready to run.

    Parameters
    ----------
    journal : Journal
    model : Model or None
    """

    journal: Journal
    model: Model | None

    def run(self, site: Any, progress: ProgressLike, watch: Watch | None) -> JobSummary:
        """Run on a site's workers, or a client's."""
        from vortex_hep.batch.run.run import run_job

        began = time.monotonic()
        progress = progress_of(progress)
        site = Site() if site is None else site
        document = self.journal.document
        options = options_of(document, self.journal.path)
        cores = site.cores if isinstance(site, Site) else 1
        how = work_options_of(str(document["command"]), str(document["job"]), options, cores=cores)
        policy = Policy(options.attempts, options.backoff, options.group_bytes)
        recheck(self.journal, progress)
        counts = self.journal.counts()
        if not counts[State.WAITING].files and not counts[State.RUNNING].files:
            # The run before may have ended before it did this.
            sweep(self.journal, how, progress)
            self._leave_copy(document, progress)
            return summarise(self.journal, seconds=time.monotonic() - began)
        try:
            with client_of(site) as client:
                summary = run_job(
                    self.journal, client, how, model=self.model, policy=policy, progress=progress,
                    watch=watch,
                )  # fmt: skip
        except KeyboardInterrupt:
            if isinstance(site, Site) and site.kind == "local":  # no worker is left
                sweep(self.journal, how, progress)
            raise
        self._leave_copy(document, progress)
        return summary

    def _leave_copy(self, document: Mapping[str, Any], progress: Progress) -> None:
        """Leave a copy of the journal beside outputs on a server."""
        output = document.get("output")
        if output and storage.is_url(str(output)):
            _copy_journal(self.journal.path, str(output), progress)


def _copy_journal(path: str, output: str, progress: Progress) -> None:
    """Leave a copy of the journal beside the outputs on a server."""
    target = storage.join(output, storage.name(path))
    temporary = storage.join(output, f".{storage.name(path)}.part")
    with progress.task("copying the journal", None) as task:
        try:
            storage.upload(path, temporary)
            storage.rename(temporary, target, overwrite=True)
        except OutputError as error:
            task.note(f"the journal could not be copied: {one_line(str(error))}")
