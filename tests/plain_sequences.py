"""A plain implementation of section 9 of docs/SPEC.md: integers, lists and loops.

Slow on purpose, and without anything of the package's networks: what it has in common with the
engines is the specification. Stored arrays are read by the package's coders, section 4.
"""

from __future__ import annotations

import json
import math
import operator
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.spec_text import section
from vortex_hep.codec.columns import classical
from vortex_hep.core import zstd

SINES = [round(127 * math.sin(2 * math.pi * k / 1024)) for k in range(1024)]
GATES = {k: round(1024 * (k / 256) / (1 + math.exp(-k / 256))) for k in range(-4095, 4096)}


def listed() -> dict[str, tuple[str, list[str]]]:
    """Dtype and shape, in letters, of every array that 9.2 lists, in its order."""
    found = {}
    for line in section("9.2").replace("\\|", "!").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[1].startswith("`"):
            dtype = cells[1].strip("`").replace("!", "|")
            found[cells[0]] = dtype, [part.strip() for part in cells[2].split(",")]
    return found


def sections_of(data: bytes) -> list[bytes]:
    """Byte strings that stand behind their sizes."""
    found = []
    while data:
        (size,) = struct.unpack_from("<I", data)
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


class Arrays:
    """Stored arrays, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, dtype: str, count: int) -> list[Any]:
        coder, size = struct.unpack_from("<HI", self.data)
        payload, self.data = self.data[6 : 6 + size], self.data[6 + size :]
        found: list[Any] = classical.decode(coder, payload, dtype, count).tolist()
        return found


def nested(flat: list[int], shape: list[int]) -> Any:
    """A list of lists of a shape."""
    if len(shape) == 1:
        return flat
    size = len(flat) // shape[0]
    return [nested(flat[k * size : (k + 1) * size], shape[1:]) for k in range(shape[0])]


def clip(v: int, m: int = 127) -> int:
    return min(max(v, -m), m)


def scale(v: int, s: int) -> int:
    return (v * s + 2**19) >> 20


def weight(d: int) -> int:
    a = d & 1023
    return (32768 - (((22007 - ((5623 * a) >> 10)) * a) >> 10)) >> min(d >> 10, 31)


def dot(a: list[int], b: list[int]) -> int:
    return sum(map(operator.mul, a, b))


def norm(x: list[int], u: int) -> list[int]:
    r = math.isqrt(dot(x, x) // len(x))
    g = u * 2**24 // max(r, 1)
    return [clip((v * g + 2**23) >> 24) for v in x]


def attention(
    q: list[int], keys: list[list[int]], values: list[list[int]], s: int, t: int
) -> list[int]:
    z = [scale(dot(q, key), s) for key in keys]
    w = [weight(max(z) - v) >> 3 for v in z]
    quotient = t * 2**30 // sum(w)
    return [(dot(w, list(c)) * quotient + 2**37) >> 38 for c in zip(*values, strict=True)]


def frequencies(w: list[int]) -> list[int]:
    total = 65520 * 2**15 // sum(w)
    freq = [1 + ((v * total) >> 15) for v in w]
    freq[w.index(max(w))] += 65536 - sum(freq)
    return freq


def high(logits: list[int]) -> list[int]:
    w = [weight(max(logits) - v) for v in logits]
    return frequencies([sum(w[16 * y : 16 * y + 16]) for y in range(16)])


def low(logits: list[int], x: int) -> list[int]:
    part = logits[16 * x : 16 * x + 16]
    return frequencies([weight(max(part) - v) for v in part])


class Plain:
    """A transformer.

    Parameters
    ----------
    payload : bytes
        Of a chunk of kind 4.
    """

    def __init__(self, payload: bytes) -> None:
        head, body = sections_of(payload)
        self.doc = json.loads(zstd.decompress(head[4:], int.from_bytes(head[:4], "little")))
        self.columns = self.doc["columns"]
        p = sum(constant.count(-1) for *_, constant in self.columns)
        self.p, self.d, self.h = p, self.doc["width"], self.doc["heads"]
        self.e, self.window = self.d // self.h, self.doc["window"]
        d, n, f = self.d, self.doc["layers"], self.doc["ff"]
        sizes = {
            "columns": len(self.columns), "p": p, "d": d, "N": n, "f": f, "h": self.h,
            "2 d": 2 * d, "3 d": 3 * d, "d / 2": d // 2, "2 N + 1": 2 * n + 1,
        }  # fmt: skip
        arrays = Arrays(body)
        self.w: dict[str, Any] = {}
        for name, (dtype, letters) in listed().items():
            if name == "depthwise" and not self.doc["memory"]:
                break
            shape = [sizes[c] if c in sizes else int(c) for c in letters]
            self.w[name] = nested(arrays.take(dtype, math.prod(shape)), shape)
        assert not arrays.data


class Layer:
    """What one layer keeps of a lane: keys and values by head, and inputs of attention."""

    def __init__(self, heads: int) -> None:
        self.keys: list[list[list[int]]] = [[] for _ in range(heads)]
        self.values: list[list[list[int]]] = [[] for _ in range(heads)]
        self.far_keys: list[list[list[int]]] = [[] for _ in range(heads)]
        self.far_values: list[list[list[int]]] = [[] for _ in range(heads)]
        self.inputs: list[list[int]] = []


class Lane:
    """A lane: gives the logits of its tokens, given those before.

    Parameters
    ----------
    model : Plain
    chunk : int
    memory : bool
    """

    def __init__(self, model: Plain, chunk: int, memory: bool) -> None:
        self.m, self.chunk, self.memory = model, chunk, memory
        self.tokens: list[int] = []
        self.layers = [Layer(model.h) for _ in range(model.doc["layers"])]

    def logits(self) -> list[int]:
        """Logits of the next token; must be called once for each."""
        m, w, i = self.m, self.m.w, len(self.tokens)
        if self.memory and i and i % self.chunk == 0:
            for number in range(len(self.layers)):
                self.remember(number)
        x = self.embedded(i)
        for number in range(len(self.layers)):
            x = self.layer(number, x, i)
        a = norm(x, w["unit"][-1])
        sums = [scale(dot(row, a), s) for row, s in zip(w["head"], w["head_factor"], strict=True)]
        return [clip(y + b, 2**20) for y, b in zip(sums, w["head_bias"][i % m.p], strict=True)]

    def embedded(self, i: int) -> list[int]:
        m, w, t = self.m, self.m.w, i % self.m.p
        x = []
        for j in range(m.d):
            if i:
                s = (t + m.p - 1) % m.p
                y = w["embed"][s][self.tokens[i - 1]][j] * w["embed_factor"][s]
            else:
                y = w["begin"][j] * 2**8
            k = ((i % self.chunk) * w["rates"][j // 2]) % 2**32 >> 22
            if j % 2:
                k = (k + 256) % 1024
            y += w["next_type"][t][j] * w["next_factor"][0] + SINES[k] * w["position_factor"][0]
            x.append(clip((y + 2**7) >> 8, 2**23))
        return x

    def linear(self, name: str, number: int, a: list[int], limit: int = 127) -> list[int]:
        rows, factors = self.m.w[name][number], self.m.w[f"{name}_factor"][number]
        return [clip(scale(dot(row, a), s), limit) for row, s in zip(rows, factors, strict=True)]

    def added(self, name: str, number: int, x: list[int], a: list[int]) -> list[int]:
        rows, factors = self.m.w[name][number], self.m.w[f"{name}_factor"][number]
        return [
            clip(v + scale(dot(row, a), s), 2**23)
            for v, row, s in zip(x, rows, factors, strict=True)
        ]

    def layer(self, number: int, x: list[int], i: int) -> list[int]:
        m, w, kept = self.m, self.m.w, self.layers[number]
        d, e = m.d, m.e
        a = norm(x, w["unit"][2 * number])
        kept.inputs.append(a)
        v = self.linear("qkv", number, a)
        first = max(0, i - i % self.chunk - (m.window - self.chunk))
        o = []
        for g in range(m.h):
            kept.keys[g].append(v[d + g * e : d + g * e + e])
            kept.values[g].append(v[2 * d + g * e : 2 * d + g * e + e])
            q = v[g * e : g * e + e]
            near = attention(
                q, kept.keys[g][first:], kept.values[g][first:],
                w["logit_factor"][number][g], w["value_factor"][number][g],
            )  # fmt: skip
            if not kept.far_keys[g]:
                o += [clip((y + 8) >> 4) for y in near]
                continue
            far = attention(
                q, kept.far_keys[g], kept.far_values[g],
                w["memory_logit_factor"][number][g], w["memory_value_factor"][number][g],
            )  # fmt: skip
            mix = w["mix"][number][g]
            o += [
                clip((mix * b + (256 - mix) * y + 2**11) >> 12)
                for y, b in zip(near, far, strict=True)
            ]
        x = self.added("out", number, x, o)
        a = norm(x, w["unit"][2 * number + 1])
        gates = self.linear("gate", number, a, 4095)
        ups = self.linear("up", number, a, 2047)
        factors = w["act_factor"][number]
        q = [clip(scale(GATES[u] * z, s)) for u, z, s in zip(gates, ups, factors, strict=True)]
        return self.added("down", number, x, q)

    def remember(self, number: int) -> None:
        m, kept = self.m, self.layers[number]
        names = list(m.w)
        w = {name: m.w[name][number] for name in names[names.index("depthwise") :]}
        a = kept.inputs[-self.chunk :]
        around = [[0] * m.d, *a, [0] * m.d]
        scores = []
        for k in range(self.chunk):
            score = 0
            for c in range(m.d):
                total = w["depthwise_bias"][c]
                total += sum(w["depthwise"][i][c] * around[k + i][c] for i in range(3))
                hidden = min(scale(max(total, 0), w["depthwise_factor"][c]), 127)
                score += w["pointwise"][c] * hidden
            scores.append(score)
        count = math.ceil(self.chunk / m.doc["rate"])
        best = sorted(range(self.chunk), key=lambda k: (-scores[k], k))[:count]
        for k in sorted(best):
            y = [b + dot(row, a[k]) for b, row in zip(w["project_bias"], w["project"], strict=True)]
            mean = sum(y) // m.d
            y = norm([clip(v - mean, 2**23) for v in y], w["memory_unit"])
            v = [
                clip((dot(row, y) * s + b + 2**19) >> 20)
                for row, s, b in zip(
                    w["memory_kv"], w["memory_kv_factor"], w["memory_kv_bias"], strict=True
                )
            ]
            for g in range(m.h):
                kept.far_keys[g].append(v[g * m.e : g * m.e + m.e])
                kept.far_values[g].append(v[m.d + g * m.e : m.d + g * m.e + m.e])
        most = max(1, m.window // 2)
        kept.far_keys = [keys[-most:] for keys in kept.far_keys]
        kept.far_values = [values[-most:] for values in kept.far_values]


class Stream:
    """A stream of section 7.2."""

    def __init__(self, words: list[int]) -> None:
        self.states = [words[2 * k] | words[2 * k + 1] << 32 for k in range(4)]
        self.words, self.at = words, 8

    def symbol(self, place: int, freq: list[int]) -> int:
        x = self.states[place % 4]
        slot, y, below = x & 65535, 0, 0
        while below + freq[y] <= slot:
            below += freq[y]
            y += 1
        x = freq[y] * (x >> 16) + slot - below
        if x < 2**32:
            x = x << 32 | self.words[self.at]
            self.at += 1
        self.states[place % 4] = x
        return y

    @property
    def done(self) -> bool:
        return self.at == len(self.words) and self.states == 4 * [2**32]


@dataclass
class Head:
    """The head of a network section, and its streams."""

    lane_rows: int
    chunk: int
    memory: bool
    groups: list[list[range]]
    streams: list[list[int]]


def read_network(network: bytes, rows: int, g: int) -> Head:
    """Cut a section ``network`` of 9.4: groups are lists of lanes, lanes ranges of rows."""
    lane_rows, chunk, memory = struct.unpack_from("<IIB", network)
    lanes = [range(r, min(r + lane_rows, rows)) for r in range(0, rows, lane_rows)]
    whole = [lane for lane in lanes if len(lane) == lane_rows]
    groups = [whole[k : k + 2**g] for k in range(0, len(whole), 2**g)]
    groups += [[lane] for lane in lanes if len(lane) < lane_rows]
    arrays = Arrays(network[9:])
    sizes = arrays.take("<u4", len(groups))
    words = list(struct.unpack(f"<{sum(sizes)}I", arrays.data))
    ends = np.cumsum(sizes).tolist()
    streams = [words[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    return Head(lane_rows, chunk, bool(memory), groups, streams)


def decode(model: Plain, head: Head, given: dict[int, list[int]], records: list[list[int]]) -> None:
    """Fill in the tokens of ``records`` that are not ``given``, by number in the record."""
    for group, words in zip(head.groups, head.streams, strict=True):
        stream = Stream(words)
        lanes = [Lane(model, head.chunk, head.memory) for _ in group]
        for i in range(model.p * len(group[0])):
            r, t = divmod(i, model.p)
            logits = [lane.logits() for lane in lanes]
            if t in given:
                found = [given[t][rows[r]] for rows in group]
            else:
                highs = [stream.symbol(k, high(line)) for k, line in enumerate(logits)]
                pairs = list(zip(logits, highs, strict=True))
                lows = [stream.symbol(k, low(line, y)) for k, (line, y) in enumerate(pairs)]
                found = [16 * y + z for y, z in zip(highs, lows, strict=True)]
            for rows, lane, byte in zip(group, lanes, found, strict=True):
                lane.tokens.append(byte)
                records[rows[r]][t] = byte
        assert stream.done
