"""A walk through the commands of an installed package, outside of any checkout.

``python walk.py`` tries the package of the interpreter that runs it, in an empty folder that it
makes: one file there and back; then, where the extra ``grid`` is installed, a job over six files,
else what the commands say is missing.
"""

from __future__ import annotations

import filecmp
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path

SITES = ("local", "address", "htcondor", "slurm", "lxplus")
FILES = ("a/0.root", "a/1.root", "a/2.root", "b/0.root", "b/1.root", "b/2.root")
EVENTS = "40"
#: Environment without what would let the package be found elsewhere.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def say(line: str) -> None:
    """Show a line at once."""
    print(line, flush=True)  # noqa: T201 - this is a program


def run(program: str, *arguments: str, code: int = 0) -> str:
    """Run one of the package's programs; what it prints, in all."""
    say(" ".join(["$", program, *arguments]))
    place = Path(sysconfig.get_path("scripts")) / program
    return _checked([str(place), *arguments], code)


def python(script: str) -> str:
    """Run lines of Python with the installed package."""
    return _checked([sys.executable, "-c", script], 0)


def _checked(command: list[str], code: int) -> str:
    done = subprocess.run(
        command, env=CLEAN, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    must(done.returncode == code, f"exit code {done.returncode}, not {code}:\n{done.stdout}")
    return done.stdout


def must(holds: bool, message: str) -> None:
    """End the walk unless something holds."""
    if not holds:
        sys.exit(message)


def installed() -> None:
    """The package is the installed one, and has all that is no code."""
    home = Path(python("import vortex_hep; print(vortex_hep.__file__)").strip())
    must(home.is_relative_to(sys.prefix), f"the package is at {home}, not below {sys.prefix}")
    version = run("vortex-hep", "--version")
    must(version.startswith("vortex-hep "), version)
    # Their files are in the package; one process shows all of them.
    shown = python(f"""
from vortex_hep.cli import main
for kind in {SITES!r}:
    main(["jobs", "site", kind])
""")
    for kind in SITES:
        must(f"kind: {kind}" in shown, kind)
    for words in ((), ("dataset",), ("dataset", "compress"), ("jobs",), ("jobs", "report")):
        must("examples:" in run("vortex-hep", *words, "--help"), " ".join(words))
    python("from vortex_hep import *")


def one_file() -> None:
    """A file to an archive and back."""
    run("vortex-hep", "example", "in.root", "--events", EVENTS)
    python("import vortex_hep; vortex_hep.Model({}).save('empty.vxm')")
    run("vortex-compress", "in.root", "--model", "empty.vxm", "--effort", "fast")
    run("vortex-hep", "info", "in.vxc")
    run("vortex-hep", "verify", "in.vxc", "--against", "in.root")
    run("vortex-decompress", "in.vxc", "-o", "back.root")
    must(filecmp.cmp("in.root", "back.root", shallow=False), "the restored file differs")
    read = "print(len(vortex_hep.open('in.vxc')['Events'].arrays(['Jet_pt'])))"
    must(python(f"import vortex_hep; {read}").strip() == EVENTS, "events are missing")


def six_files() -> None:
    """A job over six files, its report, and the files back."""
    Path("in", "a").mkdir(parents=True)
    Path("in", "b").mkdir()
    python(f"""
from vortex_hep.testing.examples import write_example
for number, name in enumerate({FILES!r}):
    write_example("in/" + name, events={EVENTS}, seed=number)
""")
    where = ("--workers", "1", "--no-report")
    how = ("--model", "empty.vxm", "--effort", "fast", "--exact")
    told = run("vortex-hep", "dataset", "compress", "in", "-o", "out", *how, "--dry-run")
    must("6 files" in told, told)
    told = run("vortex-hep", "dataset", "compress", "in", "-o", "out", *how, *where)
    must("6 of 6 files done" in told, told)
    job = "out/vortex-job.sqlite"
    must("6 of 6 files done" in run("vortex-hep", "jobs", "show", job), "jobs show")
    must(job in run("vortex-hep", "jobs", "list", "out"), "jobs list")
    found = json.loads(run("vortex-hep", "jobs", "inspect", job, "b/1.root", "--json"))
    must(found["state"] == "done", str(found))
    run("vortex-hep", "jobs", "report", job, "-o", "job.html")
    must("6 of 6 files done" in Path("job.html").read_text(encoding="utf-8"), "the report")
    told = run("vortex-hep", "dataset", "verify", "out", "--against", "in", *where)
    must("6 of 6 files done" in told, told)
    told = run("vortex-hep", "dataset", "restore", "out", "-o", "back", *where)
    must("6 of 6 files done" in told, told)
    same, *other = filecmp.cmpfiles("in", "back", FILES, shallow=False)
    must(sorted(same) == sorted(FILES), f"not the same: {other}")


def without_grid() -> None:
    """What needs the extra ``grid`` says so."""
    told = run("vortex-hep", "dataset", "compress", "in.root", "-o", "out", code=1)
    must(len(told.splitlines()) == 1, told)
    must("vortex-hep[grid]" in told, told)


def without_train() -> None:
    """What needs the extra ``train`` says so, once it has done what it can without."""
    for words in (
        ("train", "in.root"),
        ("dataset", "train", "in.root"),
        ("demo", "--train-events", "9"),
    ):
        more = () if words[0] == "demo" else ("-o", "m.vxm")
        told = run("vortex-hep", *words, *more, code=1)
        must("vortex-hep[train]" in told.splitlines()[-1], told)
        must("Traceback" not in told, told)


def main() -> None:
    """Walk."""
    with tempfile.TemporaryDirectory(prefix="vortex-hep-walk-") as folder:
        before = Path.cwd()
        os.chdir(folder)
        try:
            installed()
            one_file()
            if find_spec("distributed") is None:
                without_grid()
            else:
                six_files()
            if find_spec("torch") is None:
                without_train()
        finally:
            os.chdir(before)  # a folder in use cannot be removed everywhere
    say("all of it works")


if __name__ == "__main__":
    main()
