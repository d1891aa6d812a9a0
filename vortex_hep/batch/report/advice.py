"""Advice on failed files, by the reason of the failure."""

from __future__ import annotations

from vortex_hep.batch.states import Reason

ADVICE: dict[Reason, str] = {
    Reason.VANISHED: (
        "the file was listed but is gone: ask its owner; if it was moved, run the command again"
        " with the new list"
    ),
    Reason.DENIED: (
        "renew the proxy or token (it must outlive the job, and workers must see it), or ask for"
        " permission; then resume with --failed"
    ),
    Reason.BEING_WRITTEN: (
        "somebody was still writing it: resume with --failed once it is complete"
    ),
    Reason.DAMAGED: (
        "the file itself cannot be read: compare its checksum with the catalogue's, fetch another"
        " replica, then resume with --failed"
    ),
    Reason.NETWORK: (
        "the server did not answer, several times: check that it is up, then resume with --failed"
    ),
    Reason.NO_SPACE: "free space or raise the quota at the output, then resume with --failed",
    Reason.NOT_WRITABLE: (
        "the output may not be written: check the folder's permissions and the credentials, then"
        " resume with --failed"
    ),
    Reason.EXISTS: (
        "something else lies where the output would go: move it away or delete it, then resume"
        " with --failed; or run the job again with --overwrite"
    ),
    Reason.DIFFERENT: (
        "keep the source: what was made or checked is not the same. Run the file alone with"
        " 'vortex-hep verify'; if it differs again, report it with the file"
    ),
    Reason.MODEL: (
        "the file is of another kind than the model: train one for such files, or compress them in"
        " a job of their own without --model"
    ),
    Reason.MEMORY: "give each worker more memory (site file: memory), then resume with --failed",
    Reason.CRASHED: (
        "the worker died with this file, twice: look at its log; if it was killed, give workers"
        " more memory or time, then resume with --failed"
    ),
    Reason.OTHER: "read the message; 'vortex-hep jobs inspect' shows all that is known",
}


def advice(reason: str | None) -> str:
    """What to do about a file that failed.

    Parameters
    ----------
    reason : str, optional
        Value of a :class:`~vortex_hep.batch.states.Reason`, as a journal has it.

    Examples
    --------
    >>> advice("no space")
    'free space or raise the quota at the output, then resume with --failed'
    """
    try:
        return ADVICE[Reason(reason)]
    except ValueError:
        return ADVICE[Reason.OTHER]
