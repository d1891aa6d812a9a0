"""The live scoreboard of a training: bits per byte against other codecs, in plain text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

#: From low to high.
_LEVELS = ".:-=+*#%@"
#: Evaluations that the trend shows.
_TREND = 24


def sparkline(values: Sequence[float]) -> str:
    """Return a curve in one line of ASCII, a character per value; "!" where it is not finite.

    Examples
    --------
    >>> sparkline([8.0, 6.0, 4.0, 4.0])
    '@+..'
    """
    finite = [v for v in values if math.isfinite(v)]
    low = min(finite, default=0.0)
    span = max(finite, default=0.0) - low
    scale = (len(_LEVELS) - 1) / span if span > 0 else 0.0
    return "".join(_LEVELS[round((v - low) * scale)] if math.isfinite(v) else "!" for v in values)


def _figure(bits: float) -> str:
    """A figure, or a dash where there was nothing to measure."""
    return "-" if math.isnan(bits) else f"{bits:.4f}"


class Scoreboard:
    """Writes a line per evaluation.

    Parameters
    ----------
    baselines : mapping of str to float
        Bits per byte of other codecs on the same data, by name.
    validation : sequence of float, optional
        Figures of evaluations before, where a training goes on.

    Examples
    --------
    >>> board = Scoreboard({"zstd-19": 5.0, "xz-9": 4.0})
    >>> board.header()
    'to beat, in bits per byte: xz-9 4.0000, zstd-19 5.0000'
    >>> board.line(100, 4.6, 4.5)
    'step 100: train 4.6000, validation 4.5000 (best) [.]; +12.5 % of xz-9; beats 1 of 2'
    """

    def __init__(self, baselines: Mapping[str, float], validation: Sequence[float] = ()) -> None:
        self._baselines = sorted(baselines.items(), key=lambda item: item[1])
        self._seen = list(validation)

    def header(self) -> str:
        """Return the line that comes first; empty where there is nothing to beat."""
        if not self._baselines:
            return ""
        figures = ", ".join(f"{name} {bits:.4f}" for name, bits in self._baselines)
        return f"to beat, in bits per byte: {figures}"

    def line(self, step: int, train: float, validation: float) -> str:
        """Take note of an evaluation and return its line.

        Parameters
        ----------
        step : int
            Steps taken.
        train, validation : float
            Bits per byte.
        """
        best = not self._seen or validation < min(self._seen)
        self._seen.append(validation)
        text = (
            f"step {step}: train {_figure(train)}, validation {validation:.4f}"
            f"{' (best)' if best else ''} [{sparkline(self._seen[-_TREND:])}]"
        )
        if not self._baselines:
            return text
        name, bits = self._baselines[0]
        beaten = sum(validation < other for _, other in self._baselines)
        if bits > 0:
            text += f"; {100 * (validation / bits - 1):+.1f} % of {name}"
        return f"{text}; beats {beaten} of {len(self._baselines)}"
