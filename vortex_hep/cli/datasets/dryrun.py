"""The plan of a job as text, for trial runs."""

from __future__ import annotations

from pathlib import Path

from vortex_hep.batch.jobs import JobPlan
from vortex_hep.batch.site.site import BATCH_KINDS, Site, connect, job_script
from vortex_hep.core.text import format_bytes, one_line, plural

#: Targets that a trial run shows.
SHOWN_FILES = 5


def print_plan(plan: JobPlan, site: Site) -> None:
    """Say what a job would do."""
    sizes = [file.size for file in plan.files]
    known = sum(size for size in sizes if size is not None)
    unknown = sum(size is None for size in sizes)
    text = f"{plan.command}: {plural(len(sizes), 'file')}, {format_bytes(known)}"
    if unknown:
        text += f" and {plural(unknown, 'file')} of unknown size"
    print(text)
    for file, target in list(zip(plan.files, plan.targets, strict=True))[:SHOWN_FILES]:
        arrow = f" -> {one_line(target)}" if target else ""
        print(f"  {one_line(file.source)}{arrow}")
    if len(sizes) > SHOWN_FILES:
        print(f"  ... and {len(sizes) - SHOWN_FILES:,} more")
    state = "goes on" if Path(plan.journal).exists() else "new"
    print(f"journal: {plan.journal} ({state})")
    _print_site(site)
    print("dry run: nothing was done")


def _print_site(site: Site) -> None:
    """Say where workers would run: a scheduler is asked, a batch system is not."""
    if site.kind == "address":
        with connect(site) as client:
            print(f"workers: {len(client.nthreads())} of the scheduler at {site.address}")
    elif site.kind in BATCH_KINDS:
        print(f"workers: {site.workers} jobs like this one ({site.kind}):")
        print(job_script(site).rstrip())
    else:
        print(f"workers: {site.workers or 'one per core'}, on this machine")
