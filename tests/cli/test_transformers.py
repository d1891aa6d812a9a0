"""Tests of the commands with transformers, on a file of raw floats."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import vortex_hep
from tests.waiting import PATIENCE
from vortex_hep.cli import main
from vortex_hep.cli.common.sequences import sequence_gains
from vortex_hep.cli.vortex_compress import main as vortex_compress
from vortex_hep.cli.vortex_decompress import main as vortex_decompress
from vortex_hep.core.install import install_hint

RECIPE = """\
hardware: any
memory_gb: 1
device: cpu
transformer: {{d_model: 32, n_layers: 1, n_heads: 2, d_ff: 64, window: 64, dropout: 0.0,
  chunk_sizes: [64]}}
batch: 16
lane_tokens: 128
rate: 0.02
warmup: 10
steps: {steps}
eval_every: 30
precision: float32
"""


def dump(path, values, seed):
    """Write float32 of few values: nearly random, until a byte tells those behind it."""
    random = np.random.default_rng(seed)
    (random.integers(1, 33, values) * np.float32(0.37)).astype("<f4").tofile(path)
    return path


@pytest.fixture(autouse=True, scope="module")
def _one_torch_thread():
    """Many threads waiting for one another make tiny tensor operations very slow."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(program, *arguments):
    return program([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A recipe and a dump to learn from."""
    folder = tmp_path_factory.mktemp("dumps")
    (folder / "tiny.yaml").write_text(RECIPE.format(steps=60))
    dump(folder / "train.bin", 25_000, 1)
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    """A model of dumps, trained by the command, and what was said."""
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr(sys.stderr, "write", lines.append)
        patch.setattr(sys.stdout, "write", lines.append)
        command = ["train", folder / "train.bin", "-o", folder / "m.vxm", "--record", 4]
        choice = ["--family", "transformer", "--recipe", folder / "tiny.yaml", "--threads", 1]
        assert run(main, *command, *choice) == 0
    return folder / "m.vxm", "".join(lines)


@pytest.fixture
def model(trained):
    return trained[0]


def test_training_says_how_it_goes_and_what_came_of_it(trained):
    model, said = trained
    assert "training: to beat, in bits per byte: " in said
    assert "column coders" in said
    assert "step 60: train" in said
    assert "measuring: 60 steps, all of the recipe's; 1." in said
    assert f"{model}: " in said
    assert (
        "bytes (event): on rows held out smaller than by classical coders in 1 of 1 column" in said
    )


def test_a_model_of_no_use_is_called_so(model):
    loaded = vortex_hep.Model.load(model)
    (one,) = loaded.trees["bytes"].values()
    poor = replace(one, expected=np.array([[9.0, 8.0]]))
    (line,) = sequence_gains(vortex_hep.Model({"bytes": {one.table: poor}}))
    assert "in no column: archives will hardly use it; train for longer" in line


def test_there_and_back_byte_for_byte(model, tmp_path, capsys):
    source, archive, out = dump(tmp_path / "in.bin", 2000, 2), tmp_path / "a.vxc", tmp_path / "out"
    data = source.read_bytes() + b"end"
    source.write_bytes(data)
    names = ["--model", model, "--input", source, "--output", archive]
    lanes = ["--lane-tokens", 400, "--chunk-size", 32, "--no-memory"]
    assert run(vortex_compress, *names, *lanes, "--no-embed") == 0
    assert "taken as records, 2000 of 4 bytes and 3 behind the last" in capsys.readouterr().err
    assert archive.stat().st_size < 0.35 * len(data)
    assert run(vortex_decompress, archive, "-o", out) == 1
    assert "needs model" in capsys.readouterr().err
    assert run(vortex_decompress, archive, "-o", out, "--model", model) == 0
    assert out.read_bytes() == data


def test_lanes_that_cannot_be_are_one_line(model, tmp_path, capsys):
    source = dump(tmp_path / "in.bin", 200, 3)
    assert run(vortex_compress, source, "--model", model, "--chunk-size", 65) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert "chunks of 65: chunks have 1 to 64 tokens" in line
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.slow
def test_evaluate_with_a_transformer(model, tmp_path, capsys):
    source = dump(tmp_path / "in.bin", 2000, 4)
    options = ["--model", model, "--codecs", "zstd", "--levels", "quick", "--no-plot", "-q"]
    assert run(main, "evaluate", source, *options, "-o", tmp_path) == 0
    assert "m.vxm" in capsys.readouterr().out
    (file,) = json.loads((tmp_path / "evaluate.json").read_text())["files"]
    bits = {m["codec"]: m["bits_per_byte"] for m in file["measurements"] if m["verified"]}
    assert len(bits) == len(file["measurements"]) == 3


def test_info_of_a_model(model, capsys):
    assert run(main, "info", model, "--columns") == 0
    text = capsys.readouterr().out
    for words in ("transformer of", "bits per row", "(event)", "record"):
        assert words in text
    assert "hidden" not in text  # the table of event models is left out
    assert run(main, "info", model, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (one,) = found["sequences"]
    loaded = vortex_hep.Model.load(model)
    assert (one["chunk"], one["lane_tokens"], one["memory"]) == (64, 128, True)
    assert one["bytes"] == loaded.nbytes
    assert one["bits"] == one["columns"][0]["bits"] < one["columns"][0]["classical_bits"]
    assert found["tables"] == loaded.summary()


def test_info_of_an_archive_names_what_the_model_coded(model, tmp_path, capsys):
    source = dump(tmp_path / "in.bin", 2000, 5)
    assert run(main, "compress", source, "--model", model, "--effort", "fast", "-q") == 0
    assert run(main, "info", tmp_path / "in.vxc", "--columns") == 0
    assert "network" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--recipe", "laptop"], "no recipe 'laptop' (did you mean 'laptop_cpu'? built-in are"),
        (["--recipe", "gone.yaml"], "gone.yaml: no such file"),
        (["--base", "MODEL"], "base: not for models of family 'transformer'"),
        (["--passes", "3"], "passes: not for models of family 'transformer'"),
        (["--table", "Jet"], "no table 'Jet'; there are '(event)'"),
        (["--family", "event", "--recipe", "default"], "(family 'transformer' knows it)"),
        ([], "'event' has 400 bytes that vary, and 65,536 are the least to learn from"),
    ],
)
def test_what_cannot_be_trained_is_one_line(model, tmp_path, capsys, options, message):
    source = dump(tmp_path / "in.bin", 100, 6)
    options = [model if option == "MODEL" else option for option in options]
    choice = ["--family", "transformer", "--record", "4", "-q", *options]
    assert run(main, "train", source, *choice) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("vortex-hep: error: ")
    assert message in line
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("module", "message"),
    [("torch", "needs torch, which is not installed"), ("yaml", "PyYAML is not installed")],
)
def test_what_is_not_installed_is_named(folder, tmp_path, capsys, monkeypatch, module, message):
    if module == "torch":
        monkeypatch.setattr("vortex_hep.models.train.can_train", lambda: False)
    else:
        monkeypatch.setitem(sys.modules, "yaml", None)
    out = ["--family", "transformer", "-o", tmp_path / "m.vxm", "-q"]
    assert run(main, "train", folder / "train.bin", *out) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert install_hint("train") in line


def test_no_gpu_is_said(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out = ["--family", "transformer", "-o", tmp_path / "m.vxm", "--device", "cuda", "-q"]
    assert run(main, "train", folder / "train.bin", *out) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "torch sees no CUDA device (use device 'cpu')" in line


def test_help_says_which_options_are_whose(capsys):
    for command in (main, vortex_compress):
        with pytest.raises(SystemExit):
            command(["train", "--help"] if command is main else ["--help"])
        text = " ".join(capsys.readouterr().out.split())
        for words in {
            main: ("--family {event,transformer}", "--recipe NAME", "(default: laptop_cpu)",
                   "a file per table beside it", "--log-dir DIR"),
            vortex_compress: ("--lane-tokens N", "--chunk-size N", "--no-memory"),
        }[command]:  # fmt: skip
            assert words in text


@pytest.mark.slow
@pytest.mark.parametrize("checkpoint", [True, False])
def test_interrupted_training_says_what_is_kept(folder, tmp_path, checkpoint):
    recipe = tmp_path / "long.yaml"
    text = RECIPE.format(steps=10**6).replace("eval_every: 30", "eval_every: 3")
    recipe.write_text(text + "patience: 1000000")
    script = (
        "import sys, vortex_hep.nn.sequence.fit as fit; fit._SNAPSHOT_EVERY = 0.0\n"
        "from vortex_hep.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = ["train", folder / "train.bin", "-o", tmp_path / "m.vxm", "--threads", 1]
    choice = ["--family", "transformer", "--recipe", recipe, "--record", 4]
    keep = ["--checkpoint", tmp_path / "run.vxw"] if checkpoint else []
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, [*command, *choice, *keep])],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        # Jobs in the background of a script ignore it, and so would their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "step 3: " in line:
            break
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "")
    said, last = err.splitlines()[-2:]
    assert last == "vortex-hep: interrupted"
    kept = sorted(p.name for p in tmp_path.iterdir())
    if checkpoint:
        assert said.endswith("run.event.vxw: the same command again goes on from here")
        assert kept == ["long.yaml", "run.event.vxw"]
    else:
        assert "nothing of the training is kept: --checkpoint PATH would keep it" in said
        assert kept == ["long.yaml"]
