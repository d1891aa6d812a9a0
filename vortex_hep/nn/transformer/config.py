"""The configuration of a transformer; without torch, so that commands can read it at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vortex_hep.errors import UnsupportedTypeError
from vortex_hep.nn.checked import checked

#: Tokens that the positional encoding and the integer path know.
MAX_WINDOW = 4096
MAX_TYPES = 1 << 14


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes and variants of a compressive transformer.

    Parameters
    ----------
    d_model : int
        Width of the residual stream; a multiple of ``n_heads``.
    n_layers, n_heads : int
    d_ff : int
        Width of the feed-forward blocks.
    window : int
        Tokens of local attention, at most 4096.
    compression_rate : int
        Past tokens per token of compressed memory.
    dropout : float
        On the outputs of attention and feed-forward blocks, in training only.
    types : int
        Positions of a record that have embeddings of their own (TDT): 4 for plain float32, the
        bytes of a row for typed records; 1 is one table shared by all.
    memory : bool
        Whether what lies before the window is kept as compressed memory.
    eviction : {"lte", "strided"}
        How memory is compressed: learnable token eviction, or a strided convolution.
    norm : {"rms", "layer"}
    feed_forward : {"swiglu", "gelu"}
    chunk_sizes : tuple of int
        Sizes that training draws from; one size is a fixed chunk. None above ``window``.
    vocab_size : int
        256: bytes.

    Raises
    ------
    UnsupportedTypeError
        Values that do not fit together.
    """

    d_model: int = 512
    n_layers: int = 8
    n_heads: int = 8
    d_ff: int = 2048
    window: int = 512
    compression_rate: int = 4
    dropout: float = 0.1
    types: int = 4
    memory: bool = True
    eviction: str = "lte"
    norm: str = "rms"
    feed_forward: str = "swiglu"
    chunk_sizes: tuple[int, ...] = (128, 256, 512)
    vocab_size: int = 256

    def __post_init__(self) -> None:
        object.__setattr__(self, "chunk_sizes", tuple(self.chunk_sizes))
        wrong = [
            text
            for text, bad in (
                ("d_model must be a multiple of n_heads", self.d_model % max(1, self.n_heads)),
                ("d_model must be even", self.d_model % 2),
                ("sizes must be positive", min(self._sizes()) < 1),
                (f"window must be at most {MAX_WINDOW}", self.window > MAX_WINDOW),
                (f"types must be at most {MAX_TYPES}", self.types > MAX_TYPES),
                ("dropout must be in [0, 1)", not 0 <= self.dropout < 1),
                ("eviction is 'lte' or 'strided'", self.eviction not in ("lte", "strided")),
                ("norm is 'rms' or 'layer'", self.norm not in ("rms", "layer")),
                ("feed_forward is 'swiglu' or 'gelu'", self.feed_forward not in ("swiglu", "gelu")),
                (
                    "chunk_sizes must be between 1 and window",
                    not self.chunk_sizes
                    or min(self.chunk_sizes) < 1
                    or max(self.chunk_sizes) > self.window,
                ),
            )
            if bad
        ]
        if wrong:
            raise UnsupportedTypeError(f"invalid transformer: {'; '.join(wrong)}")

    def _sizes(self) -> tuple[int, ...]:
        return (
            self.d_model, self.n_layers, self.n_heads, self.d_ff, self.window,
            self.compression_rate, self.types, self.vocab_size,
        )  # fmt: skip

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.d_model // self.n_heads

    @property
    def memory_tokens(self) -> int:
        """Tokens that the compressed memory holds at most."""
        return max(1, self.window // 2)

    def as_json(self) -> dict[str, Any]:
        """Return the values by name, as JSON knows them."""
        return {**asdict(self), "chunk_sizes": list(self.chunk_sizes)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TransformerConfig:
        """Make a configuration of values by name; defaults where there are none.

        Raises
        ------
        UnsupportedTypeError
            A name that does not exist, or a value of another type.

        Examples
        --------
        >>> TransformerConfig.from_json({"d_model": 64, "n_heads": 2}).head_dim
        32
        """
        return cls(**checked(cls, values, "a transformer's configuration"))
