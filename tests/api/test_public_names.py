"""Public names of the package: complete, and harmless to look at where extras are missing."""

import inspect
import pydoc
import shutil
import subprocess
import sys

import pytest

import vortex_hep
from vortex_hep import errors
from vortex_hep.models.options import TrainOptions

#: What only extras bring, by the names of modules.
EXTRAS = (
    "torch", "torchac", "triton", "tensorboard", "dask", "dask_awkward", "dask_jobqueue",
    "distributed", "bokeh", "coffea", "vector", "yaml", "jinja2", "matplotlib", "XRootD",
    "fsspec_xrootd", "aiohttp", "openzl",
)  # fmt: skip

SCRIPT = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        blocked = name.partition(".")[0] in {blocked!r}
        return None if blocked else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(Without, sys.meta_path)
import vortex_hep
"""


def without_extras(work, *more):
    """Run code in an interpreter in which no package of an extra, nor these, can be imported."""
    script = SCRIPT.format(blocked=(*EXTRAS, *more)) + work
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_all_names_are_listed_and_nothing_else():
    assert sorted(vortex_hep.__all__) == vortex_hep.__all__
    assert dir(vortex_hep) == vortex_hep.__all__
    assert {*vortex_hep._HOMES, "__version__"} == {*vortex_hep.__all__}


def test_every_error_is_a_name_of_the_package():
    classes = {
        name: found for name, found in vars(errors).items()
        if inspect.isclass(found) and issubclass(found, Exception)
    }  # fmt: skip
    assert len(classes) > 10
    for name, found in classes.items():
        assert getattr(vortex_hep, name) is found


def test_help_shows_every_name():
    text = pydoc.plain(pydoc.render_doc(vortex_hep))
    for name in vortex_hep._HOMES:
        assert name in text
    assert "Not available here" not in text


def test_names_can_be_looked_at_without_extras():
    found = without_extras(
        """
import inspect
for name in dir(vortex_hep):
    assert hasattr(vortex_hep, name), name
assert not hasattr(vortex_hep, "nope")
members = dict(inspect.getmembers(vortex_hep))
assert sorted(members) == sorted(vortex_hep.__all__)
assert isinstance(members["Site"], type)
namespace = {}
exec("from vortex_hep import *", namespace)
assert {*vortex_hep.__all__} <= {*namespace}
print(vortex_hep.ArchiveDataset.__doc__)
""",
        "uproot",
    )
    assert found.startswith("Not available here: this needs another package")
    assert "No module named 'torch'" in found
    assert "pip install" in found


def test_help_without_extras():
    text = without_extras("help(vortex_hep)", "uproot")
    for name in vortex_hep._HOMES:
        assert name in text
    assert "Not available here" in text
    assert "Make a collection of dask-awkward" in text


@pytest.mark.parametrize(
    ("use", "extra"),
    [
        ("vortex_hep.ArchiveDataset('jets.vxc')", "train"),
        ("type('Mine', (vortex_hep.ArchiveDataset,), {})", "train"),
        ("vortex_hep.dask('x.vxc')", "dask"),
        ("vortex_hep.nanoevents('tiny.vxc')", "coffea"),
        ("from vortex_hep.analysis.tensors import ArchiveDataset", "train"),
        ("vortex_hep.train(['twins.root'])", "train"),
    ],
)
def test_use_without_extras_says_what_to_install(
    use, extra, tiny_archive, twins_file, tmp_path, monkeypatch
):
    (tmp_path / "tiny.vxc").write_bytes(tiny_archive)
    shutil.copy(twins_file, tmp_path / "twins.root")
    monkeypatch.chdir(tmp_path)
    message = without_extras(f"""
try:
    {use}
except vortex_hep.VortexError as error:
    print(error)
""")
    assert "pip install" in message
    assert f"vortex-hep[{extra}]" in message


def test_an_instance_of_nothing():
    check = "print(isinstance(1, vortex_hep.ArchiveDataset), vortex_hep.ArchiveDataset)"
    assert without_extras(check) == "False <class 'vortex_hep.ArchiveDataset'>\n"


def test_names_are_what_their_modules_have():
    assert vortex_hep.TrainOptions is TrainOptions
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = vortex_hep.nope
