"""Tests of compressed weights: lossless for every type; damage and mismatches are detected."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import vortex_hep
from tests.spec_text import section, table_rows
from vortex_hep import errors
from vortex_hep.codec.columns.column_coders import BITS, RAW
from vortex_hep.codec.container.container import KIND_WEIGHTS, ContainerWriter, xxh3
from vortex_hep.codec.weights.safetensors import read_safetensors, write_safetensors
from vortex_hep.codec.weights.zipnn import (
    CHUNK_WEIGHTS,
    CompressedWeights,
    compress_model_weights,
    decompress_arrays,
    decompress_model_weights,
    decompress_state,
    load_compressed,
    save_compressed,
    weight_size_report,
)
from vortex_hep.codec.weights.zipnn import weights as weights_module
from vortex_hep.codec.weights.zipnn.files import write_weights
from vortex_hep.codec.weights.zipnn.formats import FORMATS
from vortex_hep.codec.weights.zipnn.planes import (
    PLANES,
    WHOLE,
    decode_items,
    encode_items,
    encode_planes,
    encode_whole,
)
from vortex_hep.testing import check_cuts, check_flips

GOLDEN = Path(__file__).parents[2] / "golden"
FLOATS = sorted(name for name, wf in FORMATS.items() if wf.exponent)
IN_TORCH = [name for name in FORMATS if hasattr(torch, name)]


def random_array(name, shape=(6, 5)):
    """Any bits."""
    wf = FORMATS[name]
    size = int(np.prod(shape)) * wf.itemsize
    raw = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    return raw.view(wf.dtype).reshape(shape)


def bits(tensor) -> bytes:
    if isinstance(tensor, torch.Tensor):
        flat = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
        return flat.view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    return np.ascontiguousarray(tensor).tobytes()


def through_a_file(packed: CompressedWeights, metadata=None) -> CompressedWeights:
    buffer = io.BytesIO()
    write_weights(packed, buffer, metadata or {})
    buffer.seek(0)
    return load_compressed(buffer)


def file_bytes(packed: CompressedWeights) -> bytes:
    buffer = io.BytesIO()
    write_weights(packed, buffer, {"step": 3})
    return buffer.getvalue()


@settings(max_examples=60)
@given(data=st.data())
def test_any_bits_of_any_type_come_back(data):
    name = data.draw(st.sampled_from(sorted(FORMATS)))
    wf = FORMATS[name]
    count = data.draw(st.integers(1, 40)) * wf.parts
    raw = data.draw(st.binary(min_size=count * wf.width, max_size=count * wf.width))
    items = np.frombuffer(raw, wf.carrier)
    for effort in ("fast", "normal"):
        found = decode_items(encode_items(items, wf, effort=effort), wf, count)
        assert found.tobytes() == raw
    assert decode_items(encode_whole(items, "fast"), wf, count).tobytes() == raw
    if wf.exponent:
        assert decode_items(encode_planes(items, wf, "fast"), wf, count).tobytes() == raw


@pytest.mark.parametrize("name", FORMATS)
def test_arrays_of_every_type_without_torch(name):
    shapes = [(6, 5), (), (0, 3), (7,), (2, 3, 4)]
    arrays = {str(shape): random_array(name, shape) for shape in shapes}
    arrays["transposed"] = random_array(name, (4, 9)).T
    arrays["strided"] = random_array(name, (40,))[::-3]
    packed = through_a_file(compress_model_weights(arrays))
    found = decompress_arrays(packed)
    assert list(found) == list(arrays)
    for key, array in arrays.items():
        assert (found[key].dtype, found[key].shape) == (array.dtype, array.shape)
        assert bits(found[key]) == bits(array)
    # What numpy lacks is flagged, and known again.
    assert {t.dtype for t in compress_model_weights(found).values()} == {name}
    target = {key: np.zeros_like(array, order="K") for key, array in arrays.items()}
    decompress_model_weights(target, packed)
    assert all(bits(target[key]) == bits(array) for key, array in arrays.items())


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("name", IN_TORCH)
def test_tensors_of_every_type(name):
    whole = decompress_state(compress_model_weights({"x": random_array(name, (6, 8))}))["x"]
    assert str(whole.dtype) == f"torch.{name}"
    tensors = {"whole": whole, "part": whole[1:4, ::2], "turned": whole.t(), "none": whole[:0]}
    tensors["scalar"] = whole[2, 2]
    if whole.is_complex():
        tensors["lazily conjugate"] = whole.conj()
    packed = through_a_file(compress_model_weights(tensors))
    found = decompress_state(packed)
    for key, tensor in tensors.items():
        assert (found[key].dtype, found[key].shape) == (tensor.dtype, tensor.shape)
        assert bits(found[key]) == bits(tensor)
    zeros = {key: np.zeros(t.shape, FORMATS[name].dtype) for key, t in tensors.items()}
    target = decompress_state(compress_model_weights(zeros))
    decompress_model_weights(target, packed)
    assert all(bits(target[key]) == bits(tensor) for key, tensor in tensors.items())


def test_every_type_of_torch_is_known():
    types = {str(t).removeprefix("torch.") for t in vars(torch).values() if type(t) is torch.dtype}
    # Types of whole bytes only for kernels, and the quantized ones, of which a scale is part.
    rest = {t for t in types if not re.match(r"q?u?int\d+$|bits|quint4x2$|quint2x4$", t)}
    assert rest - set(FORMATS) == set()
    assert {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"} <= set(
        FORMATS
    )


def test_arrays_need_no_torch():
    script = (
        "import sys; from vortex_hep.codec.weights.zipnn import *;"
        f"a = decompress_arrays(load_compressed({str(GOLDEN / 'weights-v1.vxw')!r}));"
        "compress_model_weights(a); print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


class Tied(torch.nn.Module):
    """A module with a shared weight, a buffer, and a parameter without items."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(20, 8)
        self.head = torch.nn.Linear(8, 20, bias=False)
        self.head.weight = self.embed.weight
        self.norm = torch.nn.BatchNorm1d(8)
        self.empty = torch.nn.Parameter(torch.zeros(0, 3))


def test_tied_tensors_are_stored_once_and_stay_tied():
    model = Tied()
    packed = through_a_file(compress_model_weights(model))
    assert packed["embed.weight"] is packed["head.weight"]
    names = len(model.state_dict())
    assert (len(packed), len(packed.distinct)) == (names, names - 1)
    state = decompress_state(packed)
    assert state["embed.weight"] is state["head.weight"]
    # Equal values in other memory are not tied, nor are empty tensors.
    apart = compress_model_weights({k: np.zeros(n) for k, n in (("a", 4), ("b", 4), ("c", 0))})
    assert len(through_a_file(apart).distinct) == 3

    other = Tied()
    decompress_model_weights(other, packed)
    assert other.head.weight is other.embed.weight
    for name, tensor in model.state_dict().items():
        assert bits(other.state_dict()[name]) == bits(tensor)


def test_a_module_that_ties_takes_no_weights_that_differ():
    packed = compress_model_weights({"a": torch.ones(3), "b": torch.zeros(3)})
    one = torch.zeros(3)
    with pytest.raises(errors.ModelMismatchError, match="'b' and 'a' are one tensor"):
        decompress_model_weights({"a": one, "b": one}, packed)
    decompress_model_weights({"a": one, "b": one}, compress_model_weights({"a": one, "b": one}))


def test_another_model_is_refused_and_left_as_it_was():
    source = {"same": np.ones(3), "shape": np.ones((2, 3)), "type": np.ones(3), "gone": np.ones(1)}
    packed = compress_model_weights(source)
    target = {
        "same": np.zeros(3),
        "shape": np.zeros((3, 2)),
        "type": np.zeros(3, "f4"),
        "new": np.zeros(1),
    }
    with pytest.raises(errors.ModelMismatchError) as caught:
        decompress_model_weights(target, packed)
    for part in (
        "'gone' is missing in the model",
        "'new' is not among the weights",
        "'shape' is float64[3, 2] in the model, float64[2, 3] as stored",
        "'type' is float32[3] in the model, float64[3] as stored",
    ):
        assert part in str(caught.value)
    assert not target["same"].any()


def test_damage_is_found_before_anything_is_loaded():
    source = {"a": np.ones(3), "b": random_array("float32", (50, 20))}
    packed = dict(compress_model_weights(source))
    (part,) = packed["b"].parts
    broken = weights_module.TensorPart(part.payload, part.size, part.xxh3 ^ 1)
    packed["b"] = weights_module.CompressedTensor(FORMATS["float32"], (50, 20), (broken,))
    target = {"a": np.zeros(3), "b": np.zeros((50, 20), "f4")}
    with pytest.raises(errors.CorruptionError, match="the tensor 'b' is damaged"):
        decompress_model_weights(target, CompressedWeights(packed))
    assert not target["a"].any()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "not a tensor but a int"),
        (np.zeros(2, ">f4"), "big-endian"),
        (np.zeros(2, "U4"), "unsupported dtype"),
        (torch.zeros(2).to_sparse(), "only dense tensors"),
        (torch.zeros(2, device="meta"), "only dense tensors"),
    ],
)
def test_what_cannot_be_stored_is_named(value, words):
    with pytest.raises(errors.UnsupportedTypeError, match=words) as caught:
        compress_model_weights({"layer.x": value})
    assert "'layer.x'" in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*quantiz.*", "ignore:.*TypedStorage.*")
def test_quantized_tensors_are_refused():
    value = torch.quantize_per_tensor(torch.zeros(2), 0.1, 0, torch.qint8)
    with pytest.raises(errors.UnsupportedTypeError, match="quantized"):
        compress_model_weights({"x": value})


def test_what_is_no_model():
    for model in (3, {1: np.zeros(2)}):
        with pytest.raises(errors.UnsupportedTypeError):
            compress_model_weights(model)
    frozen = np.zeros(2)
    packed = compress_model_weights({"a": frozen})
    frozen.flags.writeable = False
    with pytest.raises(errors.UnsupportedTypeError, match="cannot be written"):
        decompress_model_weights({"a": frozen}, packed)


@pytest.fixture(scope="module")
def trained() -> torch.nn.Module:
    """A small network after some hundred steps on a toy problem."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more would wait for one another
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(16, 128), torch.nn.GELU(), torch.nn.Linear(128, 128), torch.nn.GELU(),
        torch.nn.Linear(128, 1),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        x = torch.randn(64, 16)
        loss = ((model(x)[:, 0] - torch.sin(x.sum(1))) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(threads)
    return model


@pytest.mark.parametrize("effort", ["fast", "normal"])
def test_a_trained_network_gets_smaller_by_its_exponents(trained, effort):
    single = weight_size_report(trained, effort=effort)
    assert 0.14 < single.saved < 0.2
    planes = single.planes["float32"]
    assert planes["exponent"].saved > 0.6
    assert all(size.saved < 0.02 for name, size in planes.items() if name != "exponent")
    assert sum(size.raw_bytes for size in planes.values()) == single.total.raw_bytes
    half = {name: tensor.bfloat16() for name, tensor in trained.state_dict().items()}
    assert weight_size_report(half, effort=effort).saved > 0.3
    document = json.loads(json.dumps(single.to_dict()))
    assert document["total"]["saved"] == single.saved


def test_reports_count_tied_tensors_once():
    weights = random_array("float32", (100,))
    report = weight_size_report({"a": weights, "b": weights, "n": np.arange(9)})
    assert (report.tensors, report.tied) == (3, 1)
    assert report.total.raw_bytes == 400 + 72
    assert set(report.dtypes) == {"float32", "int64"}
    assert set(report.planes) == {"float32"}


def test_large_tensors_are_cut_and_threads_change_nothing(monkeypatch):
    monkeypatch.setattr(weights_module, "PART_BYTES", 1000)
    arrays = {
        "rows": random_array("float32", (40, 30)),
        "wide": random_array("complex64", (2, 300)),
        "flat": random_array("bfloat16", (3001,)),
    }
    packed = compress_model_weights(arrays, threads=1)
    assert {name: len(t.parts) for name, t in packed.items()} == {"rows": 5, "wide": 5, "flat": 7}
    assert file_bytes(packed) == file_bytes(compress_model_weights(arrays, threads=3))
    found = decompress_arrays(through_a_file(packed))
    assert all(bits(found[name]) == bits(array) for name, array in arrays.items())


def test_fast_finds_planes_and_repeats():
    rng = np.random.default_rng(0)
    wf = FORMATS["float32"]
    noise = rng.normal(size=20_000).astype("f4")
    assert encode_items(noise, wf, effort="fast")[0] == PLANES
    repeated = np.tile(noise[:100], 200)
    payload = encode_items(repeated, wf, effort="fast")
    assert payload[0] == WHOLE
    assert len(payload) < repeated.nbytes / 20


def test_files_keep_metadata_and_do_not_overwrite(tmp_path):
    path = tmp_path / "a.vxw"
    packed = compress_model_weights({"a": np.ones(3)})
    save_compressed(packed, path, metadata={"step": 3, "names": ["é"]})
    assert load_compressed(path).metadata == {"step": 3, "names": ["é"]}
    with pytest.raises(errors.OutputError, match="exists"):
        save_compressed(packed, path)
    save_compressed(load_compressed(path), path, overwrite=True)
    assert load_compressed(path).metadata["step"] == 3
    with pytest.raises(errors.UnsupportedTypeError, match="JSON") as caught:
        save_compressed(packed, tmp_path / "b.vxw", metadata={"x": {1, 2}})
    assert caught.value.path == str(tmp_path / "b.vxw")
    assert [p.name for p in tmp_path.iterdir()] == ["a.vxw"]


SMALL = {"w": random_array("float32", (10, 12)), "n": np.array(7)}


def decode(data: bytes) -> None:
    decompress_arrays(load_compressed(io.BytesIO(data)))


def test_every_prefix_and_every_flip_raises():
    data = file_bytes(compress_model_weights(SMALL))
    check_cuts(data, decode, errors=(errors.TruncatedError, errors.NotVortexError))
    check_flips(data, decode, masks=[1 << bit for bit in range(8)])


@settings(max_examples=150)
@given(name=st.sampled_from(FLOATS), at=st.integers(0, 1 << 16), value=st.integers(0, 255))
def test_damaged_payloads_raise_or_decode_to_something(name, at, value):
    """Below the checksums: nothing but errors of ours, and arrays of the right size."""
    wf = FORMATS[name]
    items = random_array(name, (20,)).view(wf.carrier)
    for payload in (encode_planes(items, wf, "normal"), encode_whole(items, "normal")):
        broken = bytearray(payload)
        broken[at % len(broken)] = value
        try:
            assert len(decode_items(bytes(broken), wf, items.size)) == items.size
        except errors.VortexError:
            continue


def test_payloads_that_are_refused():
    bf16, none = FORMATS["bfloat16"], np.zeros(3, "u1")

    def payload(*planes: np.ndarray) -> bytes:
        head = RAW.id.to_bytes(2, "little") + (3).to_bytes(4, "little")
        return bytes((PLANES,)) + b"".join(head + plane.tobytes() for plane in planes)

    good = payload(none, none, none)
    assert not decode_items(good, bf16, 3).any()
    for bad in (payload(none + 2, none, none), payload(none, none, none + 128)):
        with pytest.raises(errors.CorruptionError, match="holds more than"):
            decode_items(bad, bf16, 3)
    for bad in (b"", good[:-1], good + b"\0", payload(none, none)):
        with pytest.raises(errors.CorruptionError):
            decode_items(bad, bf16, 3)
    for method, wf in ((2, bf16), (PLANES, FORMATS["int8"])):
        with pytest.raises(errors.UnsupportedFeatureError, match="update"):
            decode_items(bytes((method,)) + good[1:], wf, 3)


ITEMS = np.arange(6, dtype="<f4")
ENTRY = ["x", "float32", [2, 3], [0]]


def hand_made(entries, *, kind=KIND_WEIGHTS, chunk=CHUNK_WEIGHTS, metadata=None) -> io.BytesIO:
    buffer = io.BytesIO()
    writer = ContainerWriter(buffer, kind=kind)
    payload = encode_whole(ITEMS, "normal")
    writer.add(chunk, payload, decoded_xxh3=xxh3(ITEMS.tobytes()), decoded_size=ITEMS.nbytes)
    writer.finish({"tensors": entries, "metadata": {} if metadata is None else metadata})
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize(
    "entries",
    [
        None,
        [3],
        [["x", "float32", [2, 3]]],
        [[3, "float32", [2, 3], [0]]],
        [["x", "float32", [2, 2], [0]]],
        [["x", "float32", [2, 3], [1]]],
        [["x", "float32", [2, 3], [-1]]],
        [["x", "float32", [2, 3], [True]]],
        [["x", "float32", [2, 3], []]],
        [["x", "float32", [0, 3], [0]]],
        [["x", "float32", [-2, -3], [0]]],
        [["x", "float32", [2.0, 3], [0]]],
        [["x", "float32", "6", [0]]],
        [["x", "float32", [2, 3] + [1] * 63, [0]]],
        [["x", "complex128", [3], [0]]],
        [ENTRY, ENTRY],
        [ENTRY, ["y", "float32", [3, 2], [0]]],
        [ENTRY, ["y", "int32", [2, 3], [0]]],
    ],
)
def test_lists_of_tensors_that_are_refused(entries):
    assert (decompress_arrays(load_compressed(hand_made([ENTRY])))["x"].reshape(-1) == ITEMS).all()
    with pytest.raises(errors.CorruptionError):
        load_compressed(hand_made(entries))


def test_files_that_are_refused(tmp_path):
    with pytest.raises(errors.UnsupportedFeatureError, match="'float3'"):
        load_compressed(hand_made([["x", "float3", [2, 3], [0]]]))
    with pytest.raises(errors.CorruptionError):
        load_compressed(hand_made([ENTRY], chunk=1))
    with pytest.raises(errors.CorruptionError):
        load_compressed(hand_made([ENTRY], metadata=[]))
    with pytest.raises(errors.NotVortexError, match="a model, not a compressed weights file"):
        load_compressed(GOLDEN / "model-v1.vxm")
    path = tmp_path / "x.vxw"
    path.write_bytes(hand_made([ENTRY]).getvalue())
    with pytest.raises(errors.NotVortexError, match="weights file, not an archive") as caught:
        vortex_hep.open(path)
    assert "compress-weights" in str(caught.value)
    with pytest.raises(errors.NotVortexError, match="a compressed weights file, not a model"):
        vortex_hep.Model.load(path)


def test_golden_weights_decode_as_ever():
    packed = load_compressed(GOLDEN / "weights-v1.vxw")
    values = json.loads((GOLDEN / "weights-v1.json").read_text())["tensors"]
    assert packed.metadata == {"step": 7, "note": "golden é"}
    arrays = decompress_arrays(packed)
    found = {n: [packed[n].dtype, list(a.shape), bits(a).hex()] for n, a in arrays.items()}
    assert found == values
    assert packed["tied"] is packed["layer.weight"]
    methods = Counter((t.dtype, p.payload[0]) for t in packed.values() for p in t.parts)
    wanted = {(name, WHOLE) for name in FORMATS} | {(name, PLANES) for name in FLOATS}
    assert set(methods) == wanted


def test_worked_example_of_section_10_3():
    block = section("10.3").split("```")[1]
    payload = bytes.fromhex("".join(block.split()))
    found = re.search(r"are the bytes `([\da-f ]+)`", section("10.3"))
    assert found is not None
    raw = bytes.fromhex(found[1])
    wf = FORMATS["bfloat16"]
    assert decode_items(payload, wf, 3).tobytes() == raw
    values = torch.tensor([1, -2, 1.5], dtype=torch.bfloat16)
    assert bits(values) == raw
    # Coder 3 codes signs and exponents as it says there; the mantissas are stored.
    assert BITS.encode(np.array([127, 128, 127], "u1")).hex(" ") == "01 7f 02"


def test_types_of_section_10_2():
    rows = [r for r in table_rows(section("10.2").replace("\\|", "¦")) if r[0] in FORMATS]
    told = {
        name: (carrier.strip("`").replace("¦", "|"), *map(int, numbers))
        for name, carrier, *numbers in rows
    }
    assert told == {
        n: (wf.carrier, wf.parts, wf.exponent, wf.mantissa) for n, wf in FORMATS.items()
    }


SAFE = {
    name: random_array(name, (3, 4))
    for name in ("float32", "bfloat16", "float8_e5m2", "int8", "bool", "complex64")
}


def test_safetensors_come_back_byte_for_byte(tmp_path):
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        write_safetensors(file, {**SAFE, "none": np.zeros((0, 2), "f4"), "one": np.array(1.5)})
    arrays, header = read_safetensors(path)
    assert arrays["one"].shape == ()
    for name, array in SAFE.items():
        assert bits(arrays[name]) == bits(array)
    buffer = io.BytesIO()
    write_safetensors(buffer, arrays, header=header)
    assert buffer.getvalue() == path.read_bytes()
    with pytest.raises(errors.UnsupportedTypeError, match="other tensors"):
        write_safetensors(buffer, {"a": np.zeros(2)}, header=header)
    with pytest.raises(errors.UnsupportedTypeError, match="complex128"):
        write_safetensors(buffer, {"a": np.zeros(2, "c16")})


def safetensors_file(path, header, data=bytes(8)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}},
        {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}},
        {"a": {"dtype": "F32", "shape": [2]}},
        {"a": 3},
        [],
        b"{ \xff }",
        b"{",
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{}}',
    ],
)
def test_safetensors_that_are_no_such_files(tmp_path, header):
    good = {"__metadata__": {"k": "v"}, "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    path = safetensors_file(tmp_path / "x", good)
    assert read_safetensors(path)[0]["a"].shape == (2,)
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(errors.SourceError):
            read_safetensors(path)
    with pytest.raises(errors.SourceError):
        read_safetensors(safetensors_file(path, header))
