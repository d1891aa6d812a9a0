"""Interleaved rANS with 64-bit states and 32-bit words.

Symbols are coded with 16-bit frequencies that sum to 65536. A *step* is the coding of one token
of all active lanes; the lane at position ``i`` of a step uses state ``i % STATES``. Words are
emitted backwards, so that decoding reads them forwards. With states at least 16 bits wider than
the precision the cost above the information content is below one part in 10**4; what remains is
the 8 bytes per state that a stream begins with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.core.compiled import kernel

Array = npt.NDArray[Any]

PRECISION = 16
TOTAL = 1 << PRECISION
STATES = 4
#: Lower bound of a state; a word is shifted in below it.
LOWER = 1 << 32


@kernel
def encode_words(freq, cum, active, skip, words):  # type: ignore[no-untyped-def]
    """Encode symbols backwards into the end of ``words``; return how many words were used.

    Parameters
    ----------
    freq, cum : uint16 arrays, shape (symbols,)
        Frequency of each symbol and of all those below it, in decoding order: by list
        position, then token, then lane.
    active : int64 array, shape (positions,)
        Lanes active at each list position.
    skip : bool array, shape (tokens,)
        Tokens that are not coded.
    words : uint32 array, shape (>= symbols / 2 + 2 * STATES + 1,)
    """
    tokens = len(skip)
    state = np.empty(STATES, np.uint64)
    for s in range(STATES):
        state[s] = np.uint64(LOWER)
    p = len(words)
    k = len(freq)
    for j in range(len(active) - 1, -1, -1):
        n = active[j]
        for t in range(tokens - 1, -1, -1):
            k -= n
            if skip[t]:
                continue
            for i in range(n - 1, -1, -1):
                f = np.uint64(freq[k + i])
                s = i & (STATES - 1)
                x = state[s]
                if x >= f << np.uint64(48):
                    p -= 1
                    words[p] = np.uint32(x & np.uint64(0xFFFFFFFF))
                    x >>= np.uint64(32)
                q = x // f
                state[s] = (q << np.uint64(16)) + (x - q * f) + np.uint64(cum[k + i])
    for s in range(STATES - 1, -1, -1):
        p -= 2
        words[p] = np.uint32(state[s] & np.uint64(0xFFFFFFFF))
        words[p + 1] = np.uint32(state[s] >> np.uint64(32))
    return len(words) - p


@kernel
def decode_step(freqs, states, words, at, symbols):  # type: ignore[no-untyped-def]
    """Decode one step of a stream; return the position after the words read, -1 at their end.

    Parameters
    ----------
    freqs : int32 array, shape (lanes, 16)
    states : uint64 array, shape (STATES,)
        Changed in place.
    words : uint32 array
    at : int
        Next word to read.
    symbols : uint8 array, shape (lanes,)
        Receives the symbols.
    """
    for i in range(len(freqs)):
        s = i & (STATES - 1)
        x = states[s]
        slot = np.int32(x & np.uint64(TOTAL - 1))
        c = np.int32(0)
        y = 0
        while c + freqs[i, y] <= slot:
            c += freqs[i, y]
            y += 1
        x = np.uint64(freqs[i, y]) * (x >> np.uint64(16)) + np.uint64(slot - c)
        if x < np.uint64(LOWER):
            if at >= len(words):
                return -1
            x = (x << np.uint64(32)) | np.uint64(words[at])
            at += 1
        states[s] = x
        symbols[i] = y
    return at


def initial_states(words: Array) -> Array:
    """Return the states (uint64, shape (STATES,)) that a stream's first words hold.

    They are 0, which no stream ends with, where the stream is too short to hold them.
    """
    if len(words) < 2 * STATES:
        return np.zeros(STATES, np.uint64)
    return np.ascontiguousarray(words[: 2 * STATES]).view("<u8").astype(np.uint64)
