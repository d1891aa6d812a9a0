"""Tests of the experiments: descriptions, small runs, skipped steps."""

import json
import shutil
from pathlib import Path

import pytest
import uproot

import pipelines.experiments
import vortex_hep
from pipelines.experiments.command import main
from pipelines.experiments.description import load_experiment
from pipelines.experiments.manifest import FileRecord, Steps
from tests.pipelines.inputs import write_inputs, write_jets
from tests.pipelines.server import FileServer
from tests.pipelines.test_download import closed_url
from vortex_hep.errors import NotFoundError, SourceError

HOME = Path(pipelines.experiments.__file__).parent
NAMES = sorted(path.parent.name for path in HOME.glob("*/experiment.toml"))
QUICK = ["--seconds", "0.5", "--effort", "fast", "--threads", "1", "--device", "cpu", "--quiet"]


def test_there_are_six_and_each_has_its_files():
    assert NAMES == [
        "alice", "atlas_ftag", "camels", "cms_nanoaod", "cms_nanoaod_large", "hepmc",
    ]  # fmt: skip
    for name in NAMES:
        assert (HOME / name / "README.md").read_text().startswith("# ")
        assert f"experiments.{name} " in (HOME / name / "README.md").read_text()
        assert (HOME / name / "__main__.py").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_training_and_test_data_differ(name):
    experiment = load_experiment(HOME / name)
    for items in (experiment.sources, experiment.fallbacks):
        roles = {item.role for item in items}
        assert roles in ({"split"}, {"train", "test"})
    addresses = [source.url or source.folder for source in experiment.sources]
    assert len(set(addresses)) == len(addresses)
    names = [source.local_name for source in experiment.sources]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", NAMES)
def test_generated_files_are_there(name, shared_data):
    for item in load_experiment(HOME / name).fallbacks:
        assert (shared_data / item.path).is_file()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = 3", "key 'title' is missing, or not text"),
        ("[", "cannot be read as TOML"),
        ("[cutting]\nkind = 'root'\nrows = 1", "unknown key 'rows' in 'cutting'"),
        ("[cutting]\ntree = 'x'", "key 'kind' is missing in 'cutting'"),
        (
            "[cutting]\nkind = 'root'\n[[source]]\nrole = 'both'\nurl = 'x'",
            "'role' must be one of .*, not 'both'",
        ),
        (
            "[cutting]\nkind = 'root'\n[[source]]\nrole = 'test'",
            "exactly one of 'url' and 'folder'",
        ),
        ("[cutting]\nkind = 'root'\n[other]", "unknown keys: other"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path, text, said):
    head = "" if "title" in text else "title = 'x'\nrecord = 'x'\nlicence = 'x'\n"
    (tmp_path / "experiment.toml").write_text(head + text)
    with pytest.raises(SourceError, match=said):
        load_experiment(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_in_small(name, tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    write_inputs(name, data)
    arguments = ["--offline", "--data", str(data), "--output", str(out), *QUICK]
    assert main(HOME / name, arguments) == 0
    results = json.loads((out / "results.json").read_text())
    assert results["origin"] == "generated"
    (file,) = results["files"]
    ours = [m for m in file["measurements"] if m["codec"].startswith("vortex_hep")]
    assert [m["codec"] for m in ours] == ["vortex_hep, event model"]
    (archive,) = (out / "archives").glob("*.vxc")
    assert ours[0]["stored_bytes"] == archive.stat().st_size
    assert ours[0]["verified"]
    assert ours[0]["bits_per_byte"] == pytest.approx(
        8 * archive.stat().st_size / file["raw_bytes"], abs=1e-4
    )
    model = vortex_hep.Model.load(out / "models" / "event.vxm")
    assert (ours[0]["model_bytes"], ours[0]["settings"]["parameters"]) == (
        model.nbytes, sum(table["parameters"] for table in model.summary()),
    )  # fmt: skip
    assert any(m["codec"].startswith("xz -9") for m in file["measurements"])
    assert f"{ours[0]['stored_bytes']:,}" in (out / "results.md").read_text()
    assert len(list(out.glob("*.png"))) == 1
    test_file = next(
        p for p in [*(out / "parts").iterdir(), *data.rglob("*")] if p.name == file["file"]
    )
    assert vortex_hep.verify(archive, against=test_file, model=model).ok


@pytest.fixture
def own(tmp_path):
    """A folder of an experiment whose data lie on a port where nobody listens, and its options."""
    folder = tmp_path / "own"
    folder.mkdir()
    describe(folder, closed_url())
    write_jets(tmp_path / "made.h5")
    return folder, ["--output", str(tmp_path / "out"), "--data", str(tmp_path)]


def describe(folder, url, more=""):
    (folder / "experiment.toml").write_text(
        "title = 'own'\nrecord = 'none'\nlicence = 'none'\n"
        "[cutting]\nkind = 'hdf5'\nrows_of = 'jets'\n"
        f"[[source]]\nrole = 'split'\nurl = '{url}'\n{more}\n"
        "[[fallback]]\nrole = 'split'\npath = 'made.h5'\n"
    )


def test_without_a_network_generated_files_stand_in(own, capsys, tmp_path):
    folder, options = own
    assert main(folder, [*options, "--steps", "fetch,prepare"]) == 0
    said = capsys.readouterr().err
    assert f"no network: using the generated files {tmp_path / 'made.h5'}" in said
    assert sorted(p.name for p in (tmp_path / "out" / "parts").iterdir()) == [
        "made.test.h5", "made.train.h5",
    ]  # fmt: skip


def test_fetch_insists(own, capsys):
    folder, options = own
    assert main(folder, [*options, "--steps", "fetch", "--fetch"]) == 1
    assert "cannot be reached" in capsys.readouterr().err


def test_nothing_to_work_on(own, capsys, tmp_path):
    folder, options = own
    assert main(folder, [*options[:2], "--offline"]) == 1
    assert "has no files to work on (give --data DIR" in capsys.readouterr().err
    assert main(folder, [*options[:2], "--steps", "prepare"]) == 1
    assert "run it too: --steps fetch" in capsys.readouterr().err


def test_examples_are_made_where_nothing_else_is_there(tmp_path):
    (tmp_path / "experiment.toml").write_text(
        "title = 'own'\nrecord = 'none'\nlicence = 'none'\n[cutting]\nkind = 'root'\n"
        "[[made]]\nrole = 'train'\nevents = 9\nseed = 1\n"
        "[[made]]\nrole = 'test'\nevents = 8\nseed = 2\n"
    )
    out = tmp_path / "out"
    arguments = ["--offline", "--output", str(out), "--steps", "fetch,prepare", "--quiet"]
    assert main(tmp_path, arguments) == 0
    record = json.loads((out / "manifest" / "prepare.json").read_text())
    counts = [uproot.open(item["path"])["Events"].num_entries for item in record["outputs"]]
    assert counts == [9, 8]


def test_open_data_are_fetched_once(own, capsys, tmp_path):
    folder, options = own
    with FileServer((tmp_path / "made.h5").read_bytes()) as server:
        describe(folder, server.url("open.h5"))
        for _ in range(2):
            assert main(folder, [*options, "--steps", "fetch,prepare", "--fetch"]) == 0
        assert server.asked == [None]
        assert "prepare: nothing has changed, skipped" in capsys.readouterr().err
    # Once they are here no network is needed, and a damaged copy is noticed.
    assert main(folder, [*options, "--steps", "fetch"]) == 0
    record = json.loads((tmp_path / "out" / "manifest" / "fetch.json").read_text())
    assert record["facts"] == {"origin": "open data"}
    describe(folder, closed_url().replace("in.bin", "open.h5"), "adler32 = '00000001'")
    assert main(folder, [*options, "--steps", "fetch", "--offline"]) == 1
    assert "has the adler32" in capsys.readouterr().err


def test_the_open_data_may_be_given(own, tmp_path):
    folder, options = own
    shutil.copy(tmp_path / "made.h5", tmp_path / "in.bin")
    assert main(folder, [*options, "--steps", "fetch", "--fetch", "--quiet"]) == 0
    record = json.loads((tmp_path / "out" / "manifest" / "fetch.json").read_text())
    assert [item["path"] for item in record["outputs"]] == [str(tmp_path / "in.bin")]


def test_a_step_is_skipped_only_while_nothing_has_changed(tmp_path):
    source = tmp_path / "in"
    source.write_bytes(b"one")
    done = []

    def run(options, *, resume=True, wanted=("work",)):
        def work():
            done.append(options)
            (tmp_path / "made").write_bytes(b"made")
            return [("part", tmp_path / "made")], {}

        steps = Steps(tmp_path / "out", wanted, resume, lambda line: None)
        return steps.run("work", [FileRecord.of("in", source)], options, work)

    with pytest.raises(NotFoundError):
        run({"a": 1}, wanted=("other",))
    first = run({"a": 1})
    assert run({"a": 1}) == first
    assert run({"a": 2}, wanted=("other",)) == first
    assert len(done) == 1
    (tmp_path / "made").touch()  # other times, the same bytes
    source.touch()
    run({"a": 1})
    assert len(done) == 1
    run({"a": 2})
    assert len(done) == 2
    source.write_bytes(b"two")
    run({"a": 2})
    assert len(done) == 3
    (tmp_path / "made").write_bytes(b"mode")
    run({"a": 2})
    assert len(done) == 4
    (tmp_path / "made").unlink()
    run({"a": 2})
    assert len(done) == 5
    run({"a": 2}, resume=False)
    assert len(done) == 6
    (tmp_path / "out" / "manifest" / "work.json").write_text("{}")
    run({"a": 2})
    assert len(done) == 7
