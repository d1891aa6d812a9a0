"""One pass over lanes in lock step: the order of the operations, on any engine."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vortex_hep.nn.sequence.model import SequenceModel, SequenceShape

Array = npt.NDArray[Any]

#: Input that stands before the first byte of a lane.
BEGIN = 256


class Operations(Protocol):
    """What an engine must be able to do; arrays are of the engine's own kind.

    The meaning of each is defined by :class:`vortex_hep.nn.sequence.reference.Reference`.
    """

    def begin(self, lanes: int, capacity: int) -> None:
        """Make room for keys and values of so many lanes and tokens."""

    def embed(self, inputs: Array, kinds: Array, positions: Array) -> Any:
        """Residual stream of tokens."""

    def attend(self, layer: int, x: Any, used: int, *, keep: bool) -> Any:
        """Add to the residual stream what attention gives; ``used`` tokens are in the cache."""

    def feed(self, layer: int, x: Any) -> Any:
        """Add to the residual stream what the feed-forward block gives."""

    def logits(self, x: Any, kinds: Array) -> Array:
        """Logits of the next bytes, in NumPy."""

    def remember(self, layer: int, tokens: int) -> None:
        """Compress the inputs of the last chunk and add them to the memory."""

    def drop(self, used: int, keep: int) -> None:
        """Keep only the last ``keep`` of ``used`` tokens in the caches."""


class Session:
    """Feeds lanes of equal length to a transformer.

    Parameters
    ----------
    model : SequenceModel
    operations : Operations
    lanes : int
    chunk : int, optional
        Tokens of a chunk; by default the model's.
    memory : bool, optional
        Whether memory is kept across chunks; by default as the model says.
    length : int, optional
        Tokens that a lane will have, if known: no room is made for more.
    """

    def __init__(
        self,
        model: SequenceModel,
        operations: Operations,
        lanes: int,
        *,
        chunk: int | None = None,
        memory: bool | None = None,
        length: int | None = None,
    ) -> None:
        shape = model.shape
        self.shape: SequenceShape = shape
        self.chunk = model.chunk if chunk is None else chunk
        self.memory = (model.use_memory if memory is None else memory) and shape.memory
        self._carry = max(0, shape.window - self.chunk)
        self._operations = operations
        self._tokens = self._at = self._used = 0
        room = self.chunk + self._carry
        operations.begin(lanes, room if length is None else min(room, length))
        self._last = length

    @property
    def room(self) -> int:
        """Tokens that may be fed at once: those left in the chunk."""
        return self.chunk - self._at if self._at < self.chunk else self.chunk

    def feed(self, inputs: Array) -> Array:
        """Feed some tokens; return the logits of what follows each.

        Parameters
        ----------
        inputs : int64 array, shape (lanes, n)
            The bytes before those to predict; 256 at the beginning. ``n`` is at most
            :attr:`room`.

        Returns
        -------
        int32 array, shape (lanes, n, 256)
            In 1/1024 of a bit.
        """
        do, n = self._operations, inputs.shape[1]
        if self._at == self.chunk:
            self._turn()
        at = np.arange(n)
        kinds = (self._tokens + at) % self.shape.types
        x = do.embed(inputs, kinds, self._at + at)
        for layer in range(self.shape.layers):
            x = do.attend(layer, x, self._used, keep=self._keeps)
            x = do.feed(layer, x)
        self._tokens += n
        self._at += n
        self._used += n
        return do.logits(x, kinds)

    @property
    def _keeps(self) -> bool:
        """Whether inputs of layers must be kept, for the chunk that follows."""
        ends = self._tokens - self._at + self.chunk
        return self.memory and (self._last is None or ends < self._last)

    def _turn(self) -> None:
        """Begin a chunk."""
        if self.memory:
            for layer in range(self.shape.layers):
                self._operations.remember(layer, self._at)
        keep = min(self._carry, self._used)
        self._operations.drop(self._used, keep)
        self._used, self._at = keep, 0
