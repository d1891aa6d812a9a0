"""Training curves for TensorBoard; does nothing without a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from vortex_hep.core.install import install_hint
from vortex_hep.errors import UnsupportedFeatureError


class EventLog:
    """Writes figures by step into an event file.

    Parameters
    ----------
    folder : path or None
        Where TensorBoard looks; None writes nothing.

    Raises
    ------
    UnsupportedFeatureError
        A folder is given, but TensorBoard is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._writer: Any = None
        if folder is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UnsupportedFeatureError(
                "TensorBoard is not installed",
                hint=f"{install_hint('tensorboard')}, or train without a log folder",
            ) from error
        self._writer = SummaryWriter(os.fspath(folder))

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Add figures of a step, by name; a name's folders are separated by ``/``."""
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()
