"""Distance to the Shannon limit, column by column, on a file whose exact entropy is known.

Writes ``results/known-entropy.json`` and ``KNOWN_ENTROPY.md``.

Examples
--------
``python -m benchmarks.entropy --data DIR``
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import vortex_hep
from benchmarks.corpus import HERE
from benchmarks.run import commit
from vortex_hep.cli.common.progress import progress_for

FILE = "generated/entropy/known_entropy"
#: Why the largest gaps are there; the figures beside them are measured.
REASONS = {
    "copy of": "a copy of another column: fields see one another through 32 buckets only",
    "-gauss": "the negative of another column; as above",
    "pt*pt": "a function of another column: exact arithmetic between columns is not modelled",
    "cos(": "a function of two columns: exact arithmetic between columns is not modelled",
    "running sum": "a rising column, left to the classical coders",
    "8-state": "each value depends on the one in the event before; events are coded independently",
    "permuted": "order within blocks of events, which an event by itself does not know",
    "xor": "flags are coded four to a symbol; its bytes are split evenly among them",
    "Bernoulli": "flags are coded four to a symbol; its bytes are split evenly among them",
    "latent": "flags are coded four to a symbol; its bytes are split evenly among them",
    "e1+e2": "a sum of two columns: exact arithmetic between columns is not modelled",
    "counter": "its information is part of the jagged column's figure",
    "Zipf": "3000 unordered ids, most of them rare: too many for a dictionary",
    "row number": "costs only the bytes of its coder",
}


def main() -> int:
    """Compress the file with its own model and compare every column with its entropy."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.entropy")
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpus' files")
    parser.add_argument("--effort", default="normal")
    args = parser.parse_args()
    known = json.loads((args.data / f"{FILE}.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        report = vortex_hep.compress_file(
            args.data / f"{FILE}.root", Path(folder) / "known.vxc", effort=args.effort,
            progress=progress_for(quiet=False),
        )  # fmt: skip
    rows = [_row(c, known["columns"][c["name"]]) for c in report.columns]
    rows.sort(key=lambda r: r["ideal_bytes"] - r["stored_bytes"])
    ideal = sum(r["ideal_bytes"] for r in rows)
    result = {
        "commit": commit(),
        "effort": args.effort,
        "ideal_bytes": round(ideal),
        "column_bytes": report.stored_bytes - report.model_bytes - report.remainder_bytes,
        "model_bytes": report.model_bytes,
        "stored_bytes": report.stored_bytes,
        "columns": rows,
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "known-entropy.json").write_text(json.dumps(result, indent=2) + "\n")
    (HERE / "KNOWN_ENTROPY.md").write_text(_markdown(result))
    print(_markdown(result))
    return 0


def _row(column: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    note = known["note"]
    reason = next((text for key, text in REASONS.items() if key in note), "")
    return {
        "name": column["name"],
        "coder": column["coder"],
        "ideal_bytes": round(known["ideal_bits_total_realised"] / 8),
        "stored_bytes": column["stored_bytes"],
        "what": note,
        "why": reason,
    }


def _markdown(result: dict[str, Any]) -> str:
    lines = [
        "# Distance to the exact entropy",
        "",
        "Made by `python -m benchmarks.entropy`. *Ideal* is the information content of the very",
        "values in the file, given the columns they are functions of.",
        "",
        f"All columns: {result['column_bytes']:,} bytes stored,"
        f" {result['ideal_bytes']:,} ideal; model {result['model_bytes']:,} bytes beside.",
        "",
        "| column | coder | ideal bytes | stored bytes | difference | why it is large |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    ]
    for r in result["columns"]:
        gap = r["stored_bytes"] - r["ideal_bytes"]
        what = r["what"].replace("|", r"\|")  # a bar would end the cell
        large = gap > max(2000, 0.02 * r["ideal_bytes"])
        lines.append(
            f"| `{r['name']}` ({what}) | {r['coder']} | {r['ideal_bytes']:,} |"
            f" {r['stored_bytes']:,} | {gap:+,} | {r['why'] if large else ''} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
