"""Tests of ``vortex-hep compress-weights``: weights files of torch and safetensors, and back."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from vortex_hep.cli import main
from vortex_hep.codec.weights.files import (
    compress_weights_file,
    read_weights_file,
    restore_weights_file,
)
from vortex_hep.codec.weights.safetensors import read_safetensors, write_safetensors
from vortex_hep.codec.weights.zipnn import load_compressed
from vortex_hep.errors import CorruptionError, VerificationError

GOLDEN = Path(__file__).parents[1] / "golden"


def checkpoint():
    """A training's state, with all kinds of things that such files hold."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(4, 6)).sum().backward()
    optimizer.step()
    shared = torch.tensor([1.0, float("nan"), -0.0])
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "half": [shared.bfloat16(), (shared.half(), shared, shared)],
        "a.b": torch.arange(3),
        "a": {"b": torch.arange(4)},
        "loss": float("nan"),
        "best": float("-inf"),
        "rate": 1e-3,
        "step": 7,
        "name": "é",
        "done": False,
        None: None,
        True: 1,
    }


def same(found, wanted) -> bool:
    if type(found) is not type(wanted):
        return False
    if isinstance(wanted, torch.Tensor):
        bits = [t.contiguous().reshape(-1).view(torch.uint8) for t in (found, wanted)]
        alike = (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        return alike and torch.equal(*bits)
    if isinstance(wanted, dict):
        alike = list(found) == list(wanted) and all(same(found[k], wanted[k]) for k in wanted)
        return alike and getattr(found, "_metadata", 0) == getattr(wanted, "_metadata", 0)
    if isinstance(wanted, (list, tuple)):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return repr(found) == repr(wanted)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "run.pt"
    torch.save(checkpoint(), path)
    return path


def load(path):
    return torch.load(path, weights_only=True)


def test_a_checkpoint_there_and_back(saved, tmp_path, capsys):
    assert main(["compress-weights", str(saved)]) == 0
    assert re.match(r".*run\.vxw: 25 tensors, \d+ B in \d\.\d+ kB$", capsys.readouterr().out)
    back = tmp_path / "back.pt"
    assert main(["compress-weights", str(tmp_path / "run.vxw"), "--restore", "-o", str(back)]) == 0
    assert "every bit as it was" in capsys.readouterr().out
    found, wanted = load(back), load(saved)
    assert same(found, wanted)
    assert isinstance(found["model"], OrderedDict)
    assert vars(found["model"])["_metadata"]["1"] == {"version": 2}
    first, second = found["half"][1][1:]
    assert first is second
    names = list(load_compressed(tmp_path / "run.vxw"))
    assert {"model.0.weight", "optimizer.state.0.exp_avg", "half.1.0", "a.b", "a.b#2"} <= set(names)


def test_a_single_tensor_is_a_checkpoint_too(tmp_path):
    torch.save(torch.arange(5), tmp_path / "x.pt")
    compress_weights_file(tmp_path / "x.pt", tmp_path / "x.vxw")
    restore_weights_file(tmp_path / "x.vxw", tmp_path / "y.pt")
    assert same(load(tmp_path / "y.pt"), torch.arange(5))


@pytest.fixture
def safe(tmp_path):
    path = tmp_path / "m.safetensors"
    arrays = {"w": np.random.default_rng(0).normal(size=(30, 20)).astype("f4"), "n": np.array(3)}
    with path.open("wb") as file:
        write_safetensors(file, arrays)
    return path


def test_safetensors_come_back_as_the_same_file(safe, tmp_path, capsys):
    packed, back = tmp_path / "p.vxw", tmp_path / "back"
    back.mkdir()
    assert main(["compress-weights", str(safe), "-o", str(packed), "-q", "--effort", "fast"]) == 0
    assert main(["compress-weights", str(packed), "--restore", "-o", f"{back}/"]) == 0
    assert (back / "p.safetensors").read_bytes() == safe.read_bytes()
    assert capsys.readouterr().out.count("\n") == 1
    # To the other format the tensors go as they are.
    assert main(["compress-weights", str(packed), "--restore", "-o", str(tmp_path / "m.pt")]) == 0
    found = load(tmp_path / "m.pt")
    arrays, _ = read_safetensors(safe)
    assert same(found, {name: torch.from_numpy(a.copy()) for name, a in arrays.items()})


def test_torch_to_safetensors_keeps_the_tensors(saved, tmp_path, capsys):
    packed, out = tmp_path / "p.vxw", tmp_path / "out.safetensors"
    compress_weights_file(saved, packed)
    assert main(["compress-weights", str(packed), "--restore", "-o", str(out)]) == 0
    assert "was left out" in capsys.readouterr().out
    arrays, _ = read_safetensors(out)
    tensors, _ = read_weights_file(saved)
    assert set(arrays) == set(tensors)
    for name, tensor in tensors.items():
        assert arrays[name].tobytes() == tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


def test_reports(saved, tmp_path, capsys):
    packed = str(tmp_path / "p.vxw")
    torch.save({"w": torch.randn(200, 100)}, saved)
    assert main(["compress-weights", str(saved), "-o", packed]) == 0
    assert re.match(r".*: 1 tensor, 80\.00 kB in \S+ kB, 1\d\.\d% saved\n", capsys.readouterr().out)
    assert (
        main(["compress-weights", str(saved), "-o", packed, "--report", "-q", "--overwrite"]) == 0
    )
    first = capsys.readouterr().out
    assert main(["compress-weights", packed, "--report"]) == 0
    assert capsys.readouterr().out == first
    assert re.search(r"float32 +exponent +20\.00 kB +\S+ kB +6\d\.\d%", first)
    assert main(["compress-weights", str(GOLDEN / "model-v1.vxm"), "--report"]) == 0
    assert re.search(r"^int32 .*%$", capsys.readouterr().out, re.MULTILINE)


def test_what_is_compressed_is_not_compressed_again(tmp_path, capsys):
    for name in ("weights-v1.vxw", "model-v1.vxm"):
        assert main(["compress-weights", str(GOLDEN / name)]) == 1
        assert "compressed already" in capsys.readouterr().err
        out = str(tmp_path / "x.vxw")
        assert main(["compress-weights", str(GOLDEN / name), "--report", "-o", out]) == 1


class Other:
    """Something that only a program can make."""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"model": Other()}, "torch refuses to load it as weights"),
        ({"x": {"y": torch.float32}}, "'x.y' is a dtype, neither a tensor nor JSON"),
        ({(1, 2): 3}, r"the key (1, 2) in the top level is neither"),
        ({"x": {1.5: 3}}, "the key 1.5 in 'x' is neither"),
    ],
)
def test_weights_files_that_are_refused(tmp_path, capsys, content, words):
    path = tmp_path / "x.pt"
    torch.save(content, path)
    assert main(["compress-weights", str(path)]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert str(path) in error
    assert not (tmp_path / "x.vxw").exists()


def test_files_that_hold_no_weights(tmp_path, capsys, saved):
    path = tmp_path / "x.pt"
    for content in (
        b"",
        b"text",
        b"PK\x03\x04 and so on",
        saved.read_bytes()[:900],
        b"\x80\x02}."[:3],
    ):
        path.write_bytes(content)
        assert main(["compress-weights", str(path)]) == 1
        assert str(path) in capsys.readouterr().err
    assert main(["compress-weights", str(tmp_path / "gone.pt")]) == 1
    assert "gone.pt" in capsys.readouterr().err
    assert main(["compress-weights", str(GOLDEN / "archive-v1.vxc"), "-o", str(path) + "w"]) == 1
    assert "a vortex_hep file, not a weights file" in capsys.readouterr().err


def test_outputs_that_are_refused(safe, saved, tmp_path, capsys):
    packed = tmp_path / "p.vxw"
    compress_weights_file(safe, packed)
    before = packed.read_bytes()
    assert main(["compress-weights", str(safe), "-o", str(packed)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert packed.read_bytes() == before
    assert main(["compress-weights", str(saved), "-o", str(packed), "--overwrite"]) == 0
    assert packed.read_bytes() != before
    assert main(["compress-weights", str(packed), "--restore", "-o", str(tmp_path / "x.npz")]) == 1
    assert "unsupported suffix '.npz' of a weights file" in capsys.readouterr().err


def test_what_does_not_decode_is_not_written(safe, tmp_path, monkeypatch):
    def broken(*_):
        msg = "broken"
        raise CorruptionError(msg)

    monkeypatch.setattr("vortex_hep.codec.weights.zipnn.weights.decode_items", broken)
    with pytest.raises(VerificationError, match="does not decode"):
        compress_weights_file(safe, tmp_path / "p.vxw")
    assert not (tmp_path / "p.vxw").exists()


@pytest.mark.parametrize(
    "structure",
    [3, [], ["t"], ["t", "gone"], ["x", 1], ["l", 3], ["d", [1]], ["f", "q"], ["o", []]],
)
def test_structures_that_make_no_sense(safe, tmp_path, structure):
    packed = compress_weights_file(safe, tmp_path / "a.vxw")
    from vortex_hep.codec.weights.zipnn import save_compressed

    document = {"checkpoint": {"format": "torch", "structure": structure}}
    save_compressed(packed, tmp_path / "b.vxw", metadata=json.loads(json.dumps(document)))
    with pytest.raises(CorruptionError, match="structure"):
        restore_weights_file(tmp_path / "b.vxw", tmp_path / "b.pt")
    assert not (tmp_path / "b.pt").exists()
