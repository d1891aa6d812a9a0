"""Speed of one transformer on several devices, and whether all write and read the same bytes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.run import commit
from benchmarks.transformers.compare import sequence_model
from benchmarks.transformers.data import JETS, jets_of
from vortex_hep.errors import VerificationError
from vortex_hep.models.model import Model
from vortex_hep.nn.sequence.coder import cut_of
from vortex_hep.testing.bench.measure import machine


def measure(
    path: Path, model: Model, devices: Sequence[str], *, threads: int, repeat: int = 2
) -> dict[str, Any]:
    """Compress jets on every device, and read the archive on every device.

    Parameters
    ----------
    path : Path
        File of jets.
    model : Model
        A transformer of them.
    devices : sequence of str
        As :func:`vortex_hep.open` has them.
    threads : int
    repeat : int
        Runs; the fastest counts, so that compilation at first use does not.

    Returns
    -------
    dict
        Plain data for a JSON file.

    Raises
    ------
    VerificationError
        Two devices differ in one byte.
    """
    here = machine()
    jets = jets_of(path)
    sequence = sequence_model(model)
    cut = cut_of(sequence, len(jets))
    archives: dict[str, bytes] = {}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "rates.vxc"
        for device in devices:
            encode = min(_compressed(path, archive, model, device, threads) for _ in range(repeat))
            archives[device] = archive.read_bytes()
            if archives[device] != archives[devices[0]]:
                raise VerificationError(f"{device} and {devices[0]} make different archives")
            decode = min(_read(archive, jets, model, device, threads) for _ in range(repeat))
            found.append(
                {
                    "device": device,
                    "name": device_name(device, here),
                    "encode_mb_per_s": jets.nbytes / encode / 1e6,
                    "decode_mb_per_s": jets.nbytes / decode / 1e6,
                }
            )
    return {
        "source": path.name,
        "rows": len(jets),
        "lanes": -(-len(jets) // cut.rows),
        "lane_tokens": cut.rows * sequence.layout.width,
        "parameters": sequence.parameters,
        "raw_bytes": jets.nbytes,
        "stored_bytes": len(archives[devices[0]]),
        "threads": threads,
        "same": True,  # or an error was raised
        "commit": commit(),
        "machine": here,
        "devices": found,
    }


def device_name(device: str, here: dict[str, Any]) -> str:
    """What a device is called by its maker."""
    if device != "cuda":
        return str(here["cpu"])
    import torch

    return str(torch.cuda.get_device_name())


def _compressed(path: Path, archive: Path, model: Model, device: str, threads: int) -> float:
    """Seconds of a compression that decodes nothing to prove it: the other calls do."""
    import vortex_hep

    began = time.perf_counter()
    vortex_hep.compress_file(
        str(path), archive, model=model, device=device, threads=threads, check=False,
        embed_model=False, overwrite=True,
    )  # fmt: skip
    return time.perf_counter() - began


def _read(archive: Path, jets: Any, model: Model, device: str, threads: int) -> float:
    """Seconds to decode all columns; raises where one differs."""
    import vortex_hep

    began = time.perf_counter()
    with vortex_hep.open(archive, model=model, device=device, threads=threads) as opened:
        columns = opened[JETS].arrays(library="np")
    seconds = time.perf_counter() - began
    for name in jets.dtype.names:
        if columns[name].tobytes() != jets[name].tobytes():
            raise VerificationError(f"{device} does not give back the same bits of {name}")
    return seconds
