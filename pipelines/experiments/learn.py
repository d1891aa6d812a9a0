"""The step "train": a model of one family, from the training part."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vortex_hep
from pipelines.experiments.manifest import Outcome
from vortex_hep.core.progress import SILENT, Progress

EVENT, TRANSFORMER = "event", "transformer"
FAMILIES = (EVENT, TRANSFORMER)


@dataclass(frozen=True)
class Training:
    """How a model is trained.

    Parameters
    ----------
    family : {"event", "transformer"}
    options : dict
        Of :class:`vortex_hep.TrainOptions`.
    folder : Path
        For the model.
    checkpoint : Path
        Where an interrupted training goes on from, and what names of more files begin with;
        removed when the model is there.
    """

    family: str
    options: dict[str, Any]
    folder: Path
    checkpoint: Path

    def __call__(self, files: Sequence[Path], progress: Progress = SILENT) -> Outcome:
        """Train and write the model.

        Parameters
        ----------
        files : sequence of Path
        progress : Progress

        Returns
        -------
        list of (str, Path)
            The model, in role ``"model"``.
        dict
            ``seconds``, ``bytes``, ``parameters`` and ``sha256`` of the model.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        options = vortex_hep.TrainOptions(**self.options, checkpoint=str(self.checkpoint))
        start = time.perf_counter()
        model = vortex_hep.train([str(path) for path in files], options=options, progress=progress)
        seconds = time.perf_counter() - start
        path = self.folder / f"{self.family}.vxm"
        model.save(path, overwrite=True)
        self.forget()
        return [("model", path)], {
            "seconds": round(seconds, 1),
            "bytes": model.nbytes,
            "parameters": sum(table["parameters"] for table in model.summary()),
            "sha256": model.sha256,
        }

    def forget(self) -> None:
        """Remove what an interrupted training has left."""
        for path in self.checkpoint.parent.glob(f"{self.checkpoint.name}*"):
            path.unlink()
