"""A transformer and the event model on the same jets, beside LZMA."""

from __future__ import annotations

import lzma
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.run import commit
from benchmarks.transformers.data import JetFiles, columns_of, jet_sample, jets_of
from vortex_hep.cli.common.progress import progress_for
from vortex_hep.errors import UnsupportedTypeError
from vortex_hep.models.model import Model
from vortex_hep.nn.loop.recipes import Recipe
from vortex_hep.nn.sequence.model import SequenceModel
from vortex_hep.testing.bench.content import load_content
from vortex_hep.testing.bench.measure import Measurement, machine
from vortex_hep.testing.bench.ours import OursOptions, measure_ours
from vortex_hep.testing.bench.rivals.baselines import measure_columns
from vortex_hep.testing.bench.rivals.columncodecs import COLUMN_CODECS
from vortex_hep.testing.bench.rivals.streams import STREAM_CODECS, measure_stream

if TYPE_CHECKING:
    from vortex_hep.nn.event.training.prepare import TableSample
    from vortex_hep.nn.sequence.fit import SequenceFit

#: Names of the rows, as the tables show them.
TRANSFORMER, EVENT, NEITHER = "transformer", "event model", "no network"
ROWS_LZMA, COLUMNS_LZMA = "LZMA -9, rows", "LZMA -9, per column"


@dataclass(frozen=True)
class CompareOptions:
    """How the two are trained and measured.

    Parameters
    ----------
    recipe : Recipe
        Of the transformer.
    seconds : float, optional
        Training time of the transformer, in place of the recipe's.
    effort : str
        Of training the event model.
    device : str
        Where both are trained.
    threads : int
        Of everything that is timed.
    repeat : int
        Runs; the fastest counts.
    """

    recipe: Recipe
    seconds: float | None = None
    effort: str = "normal"
    device: str = "cpu"
    threads: int = 2
    repeat: int = 2


def measure(files: JetFiles, options: CompareOptions, kept: Path | None = None) -> dict[str, Any]:
    """Train both, compress the test jets with each, decode and compare.

    Parameters
    ----------
    files : JetFiles
    options : CompareOptions
    kept : Path, optional
        Where the transformer is saved.

    Returns
    -------
    dict
        Plain data for a JSON file.

    Raises
    ------
    VerificationError
        A codec does not give back the same bits.
    """
    here = machine()  # before training loads it
    content = load_content(str(files.test))
    jets = jets_of(files.test)
    xz = next(codec for codec in STREAM_CODECS["hdf5"] if codec.name.startswith("xz -9"))
    by_column = next(codec for codec in COLUMN_CODECS if codec.name.startswith("xz -9"))
    threads = (options.threads,)
    found = [
        _row(ROWS_LZMA, measure_stream(xz, jets.tobytes(), jets.nbytes), None),
        _row(COLUMNS_LZMA, measure_columns(by_column, content, threads), None),
    ]
    about, transformer = _transformer(files, options)
    event, event_seconds = _event_model(files.train, options)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        transformer.save(kept, overwrite=True)
    how = OursOptions(repeat=options.repeat)
    models = (
        (NEITHER, Model({}), None),
        (EVENT, event, event_seconds),
        (TRANSFORMER, transformer, about["seconds"]),
    )
    for name, model, seconds in models:
        item = measure_ours(str(files.test), content.raw_bytes, threads, model=model, options=how)
        found.append(_row(name, item, seconds) | {"parameters": _parameters(model)})
    return {
        "source": files.name,
        "train_rows": len(jets_of(files.train)),
        "test_rows": len(jets),
        "raw_bytes": content.raw_bytes,
        "threads": options.threads,
        "recipe": options.recipe.name,
        "seconds": options.seconds or options.recipe.seconds,
        "effort": options.effort,
        "device": options.device,
        "commit": commit(),
        "machine": here,
        "codecs": found,
        "columns": column_bytes(files.test, event, transformer),
        "transformer": about,
    }


def _transformer(files: JetFiles, options: CompareOptions) -> tuple[dict[str, Any], Model]:
    """Train on the jets; what came of it, and the model."""
    from vortex_hep.nn.sequence.fit import fit_sequences

    family, sample = jet_sample(files.train)
    began = time.perf_counter()
    fits = fit_sequences(
        [sample], options.recipe, progress_for(quiet=False),
        device=options.device, seconds=options.seconds, threads=options.threads,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    if not fits:
        raise UnsupportedTypeError("too few jets to train on", path=str(files.train))
    (fit,) = fits.values()
    about = {
        "seconds": round(seconds, 1),
        "steps": fit.loop.steps,
        "stopped": fit.loop.stopped,
        "tokens_per_row": fit.model.layout.width,
        "history": [asdict(entry) for entry in fit.loop.history],
        **_test_bits(fit, jet_sample(files.test)[1], options),
    }
    models = {plan: found.model for plan, found in fits.items()}
    return about, Model({family: models})


def _test_bits(fit: SequenceFit, sample: TableSample, options: CompareOptions) -> dict[str, float]:
    """Bits per token of the test jets: as trained, in integers, and by LZMA."""
    from benchmarks.transformers.bits import exact_bits, float_bits
    from vortex_hep.nn.transformer import CATWrapper, OptimisedCompressiveTransformer

    model = fit.model
    records = model.layout.pack(columns_of(sample), sample.data.num_rows)
    network = OptimisedCompressiveTransformer(
        replace(options.recipe.transformer, types=model.layout.width)
    )
    network.load_state_dict(dict(fit.loop.state))
    wrapper = CATWrapper(network)
    wrapper.eval()
    lane = model.lane_rows * model.layout.width
    return {
        "bits_per_token": float_bits(wrapper, records, lane),
        "exact_bits_per_token": exact_bits(model, records, options.threads),
        "lzma_bits_per_token": 8 * len(lzma.compress(records.tobytes(), preset=9)) / records.size,
    }


def _event_model(path: Path, options: CompareOptions) -> tuple[Model, float]:
    import vortex_hep

    began = time.perf_counter()
    model = vortex_hep.train(
        [str(path)],
        options=vortex_hep.TrainOptions(
            effort=options.effort, device=options.device, threads=options.threads
        ),
        progress=progress_for(quiet=False),
    )
    return model, time.perf_counter() - began


def _row(name: str, item: Measurement, train_seconds: float | None) -> dict[str, Any]:
    (timing,) = item.timings
    return {
        "codec": name,
        "raw_bytes": item.raw_bytes,
        "stored_bytes": item.stored_bytes,
        "model_bytes": item.model_bytes,
        "bits_per_byte": 8 * item.stored_bytes / item.raw_bytes,
        "bits_per_byte_with_model": 8 * item.bytes_with_model / item.raw_bytes,
        "threads": timing.threads,
        "encode_mb_per_s": item.encode_speed(timing),
        "decode_mb_per_s": item.decode_speed(timing),
        "verified": item.verified,
        "train_seconds": None if train_seconds is None else round(train_seconds, 1),
        "peak_memory_bytes": item.peak_memory_bytes,
    }


def _parameters(model: Model) -> int:
    return sum(int(entry["parameters"]) for entry in model.summary())


def sequence_model(model: Model) -> SequenceModel:
    """The one transformer of a model of jets."""
    tables = [table for tables in model.trees.values() for table in tables.values()]
    (found,) = (table for table in tables if isinstance(table, SequenceModel))
    return found


def column_bytes(path: Path, event: Model, transformer: Model) -> dict[str, dict[str, int]]:
    """Bytes of every column in an archive made by each model, and without one."""
    import vortex_hep

    out: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, model in ((NEITHER, Model({})), (EVENT, event), (TRANSFORMER, transformer)):
            report = vortex_hep.compress_file(
                str(path), Path(folder) / "columns.vxc", model=model, embed_model=False,
                overwrite=True, check=False,
            )  # fmt: skip
            for column in report.columns:
                out.setdefault(column["name"], {})[name] = column["stored_bytes"]
    return out
