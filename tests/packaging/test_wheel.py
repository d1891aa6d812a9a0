"""The wheel: all of the package is in it, and all commands work where nothing else is."""

import site
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "vortex_hep"
WALK = Path(__file__).with_name("walk.py")

#: Packages that only the extras grid, train and plot bring.
EXTRAS = ("dask", "distributed", "jinja2", "matplotlib", "torch", "yaml")
#: Lets an interpreter find none of them.
BLOCKED = f"""
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        blocked = name.partition(".")[0] in {EXTRAS!r}
        return None if blocked else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(Without, sys.meta_path)
"""


def built(place, source, kind):
    """Build one kind of distribution from a source tree."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(place)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    [path] = [p for p in place.iterdir() if p.suffix == {"wheel": ".whl", "sdist": ".gz"}[kind]]
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return built(tmp_path_factory.mktemp("dist"), ROOT, "wheel")


def content(wheel):
    """Bytes of each file in a wheel."""
    with zipfile.ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_wheel_has_every_file_of_the_package(wheel):
    own = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    found = {n: data for n, data in content(wheel).items() if ".dist-info/" not in n}
    assert found == own
    kinds = {Path(name).suffix for name in own}
    assert {".py", ".yaml", ".jinja", ".typed"} - kinds <= {".typed"}
    assert "vortex_hep/py.typed" in own


def test_source_distribution_builds_the_same_wheel(wheel, tmp_path):
    source = built(tmp_path, ROOT, "sdist")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    [tree] = [p for p in tmp_path.iterdir() if p.is_dir()]
    again = built(tmp_path, tree, "wheel")
    assert again.name == wheel.name
    assert content(again) == content(wheel)


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Interpreter and packages of an environment with the wheel and what it needs.

    Both walks share it, as the kernels that the first compiles are kept in it.
    """
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, with_pip=False, symlinks=sys.platform != "win32")
    variables = {"base": str(folder), "platbase": str(folder)}
    names = sysconfig.get_scheme_names()
    scheme = "venv" if "venv" in names else sysconfig.get_default_scheme()
    paths = {
        name: sysconfig.get_path(name, scheme, vars=variables) for name in ("scripts", "purelib")
    }
    python = Path(paths["scripts"]) / Path(sys.executable).name
    # Only paths are passed on: a checkout that this environment has installed is not found.
    others = [p for p in sys.path if p and Path(p).name in ("site-packages", "dist-packages")]
    assert set(site.getsitepackages()) & set(others)
    Path(paths["purelib"], "others.pth").write_text("\n".join(others))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "-q"]
    subprocess.run(
        [*pip, "--no-index", "--no-compile", "--no-warn-script-location", str(wheel)],
        check=True, capture_output=True,
    )  # fmt: skip
    return python, Path(paths["purelib"])


def walk(python, folder):
    done = subprocess.run(
        [str(python), str(WALK)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all of it works" in done.stdout
    return done.stdout


@pytest.mark.slow
def test_all_commands_work_from_the_wheel(installed, tmp_path):
    python, _ = installed
    assert "vortex-hep dataset restore" in walk(python, tmp_path)


@pytest.mark.slow
def test_commands_say_which_extras_are_missing(installed, tmp_path):
    python, packages = installed
    switch = packages / "without_extras.pth"
    (packages / "without_extras.py").write_text(BLOCKED)
    switch.write_text("import without_extras")
    try:
        assert "vortex-hep demo" in walk(python, tmp_path)
    finally:
        switch.unlink()
