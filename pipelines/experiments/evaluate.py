"""The step "evaluate": compress the held-out part, restore it, compare bit for bit, and measure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import vortex_hep
from vortex_hep.core.options import thread_count
from vortex_hep.core.progress import SILENT, Progress
from vortex_hep.errors import VerificationError
from vortex_hep.testing.bench import Comparison, compare
from vortex_hep.testing.bench.measure import Measurement, Timing


@dataclass(frozen=True)
class Measuring:
    """How files are measured.

    Parameters
    ----------
    models : mapping of str to Path
        Models by family.
    folder : Path
        For archives and restored files.
    effort, device : str
        As for :func:`vortex_hep.compress_file`.
    threads : int or None
    """

    models: Mapping[str, Path]
    folder: Path
    effort: str = "normal"
    device: str = "auto"
    threads: int | None = None

    def __call__(self, path: Path, progress: Progress = SILENT) -> Comparison:
        """Measure the baselines and every model on one file.

        Raises
        ------
        VerificationError
            Anything does not come back bit for bit.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        baselines = compare(path, models=(), fit=False, threads=self.threads, progress=progress)
        ours = [
            self._measure(path, family, vortex_hep.Model.load(model), baselines.raw_bytes, progress)
            for family, model in self.models.items()
        ]
        return replace(baselines, measurements=(*baselines.measurements, *ours))

    def _measure(
        self, path: Path, family: str, model: Any, raw_bytes: int, progress: Progress
    ) -> Measurement:
        archive = self.folder / f"{path.name}.{family}.vxc"
        restored = self.folder / f"restored.{family}.{path.name}"
        common: dict[str, Any] = {"threads": self.threads, "progress": progress}
        start = time.perf_counter()
        vortex_hep.compress_file(
            path, archive, model=model, embed_model=False, overwrite=True,
            effort=self.effort, device=self.device, **common,
        )  # fmt: skip
        encoded = time.perf_counter() - start
        start = time.perf_counter()
        vortex_hep.restore(archive, restored, model=model, overwrite=True, **common)
        decoded = time.perf_counter() - start
        try:
            for against in (path, restored):
                found = vortex_hep.verify(archive, against=against, model=model, **common)
                if not found.ok:
                    raise VerificationError(found.differences[0], path=str(against))
        finally:
            restored.unlink()
        parameters = sum(table["parameters"] for table in model.summary())
        return Measurement(
            f"vortex_hep, {family} model",
            raw_bytes,
            archive.stat().st_size,
            (Timing(thread_count(self.threads), encoded, decoded),),
            verified=True,
            settings={
                "effort": self.effort, "device": self.device, "model_sha256": model.sha256,
                "parameters": parameters, "unit": "cluster of events",
            },
            model_bytes=model.nbytes,
        )  # fmt: skip
