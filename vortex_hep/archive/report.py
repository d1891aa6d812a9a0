"""Reports of what a compression made, and of what a verification found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from vortex_hep.core.text import (
    format_bytes,
    format_duration,
    format_ratio,
    format_table,
    html_table,
    plural,
)

#: Tables that a report lists: those that cost most.
_TABLES = 4


@dataclass
class CompressReport:
    """What a compression made; printed, about a dozen lines.

    Parameters
    ----------
    path : str
        The archive.
    stored_bytes, model_bytes, remainder_bytes : int
        The whole archive; of it, the embedded model, and what is not columns.
    raw_bytes : int
        Bytes of all columns, uncompressed.
    source_bytes : int
        Bytes of the source file; 0 where it is not known.
    columns : list of dict
        Per tree and column: tree, table, name, coder, raw_bytes, stored_bytes.
    messages : list of str
        What the user should know: columns the model did not know, say.
    seconds : float
    beside_bytes : int
        Bytes of the model that the archive needs and does not hold.
    """

    path: str
    stored_bytes: int
    model_bytes: int
    remainder_bytes: int
    raw_bytes: int
    source_bytes: int
    columns: list[dict[str, Any]]
    messages: list[str]
    seconds: float
    beside_bytes: int = 0

    def __repr__(self) -> str:
        return f"<CompressReport of {self.path}: {self.line()}>"

    def line(self) -> str:
        """Sizes and ratios in a line: against the source file first, then against its columns."""
        return ", ".join(
            [format_bytes(self.stored_bytes)]
            + [f"ratio {ratio} to {what}" for what, ratio in self._ratios()]
        )

    def _ratios(self) -> list[tuple[str, str]]:
        out = []
        if self.source_bytes:
            ratio = format_ratio(self.source_bytes, self.stored_bytes)
            out.append((f"the source file ({format_bytes(self.source_bytes)})", ratio))
        if self.raw_bytes:
            ratio = format_ratio(self.raw_bytes, self.stored_bytes)
            out.append((f"its columns ({format_bytes(self.raw_bytes)})", ratio))
        if self.beside_bytes and self.source_bytes:
            ratio = format_ratio(self.source_bytes, self.stored_bytes + self.beside_bytes)
            model = format_bytes(self.beside_bytes)
            out.append((f"the source file, all of the model ({model}) counted", ratio))
        return out

    def _rows(self) -> list[list[str]]:
        columns = self.stored_bytes - self.model_bytes - self.remainder_bytes
        rows = [
            ["columns", format_bytes(columns)],
            ["model", format_bytes(self.model_bytes)],
            ["all else of the file", format_bytes(self.remainder_bytes)],
        ]
        if self.beside_bytes:
            rows[1:2] = [["model, beside the archive", f"({format_bytes(self.beside_bytes)})"]]
        return [["archive", format_bytes(self.stored_bytes)], *rows]

    def _largest(self) -> list[list[str]]:
        stored: Counter[tuple[str, str]] = Counter()
        raw: Counter[tuple[str, str]] = Counter()
        for column in self.columns:
            key = column["tree"], column["table"]
            stored[key] += column["stored_bytes"]
            raw[key] += column["raw_bytes"]
        return [
            [f"{tree}: {table or '(event)'}", format_bytes(raw[tree, table]), format_bytes(size),
             format_ratio(raw[tree, table], size)]
            for (tree, table), size in stored.most_common(_TABLES)
        ]  # fmt: skip

    def __str__(self) -> str:
        rate = self.source_bytes / self.seconds if self.seconds else 0
        speed = f", {format_bytes(rate)}/s of the source" if rate else ""
        lines = [f"{self.path}: {format_bytes(self.stored_bytes)}"]
        lines += [f"  ratio {ratio:>6} to {what}" for what, ratio in self._ratios()]
        lines += [f"  {name:26}{size:>12}" for name, size in self._rows()[1:]]
        lines.append(
            f"  {plural(len(self.columns), 'column')} in {format_duration(self.seconds)}{speed}"
        )
        if self.columns:
            table = format_table(_HEADER, self._largest())
            lines += [f"  {line}" for line in table.splitlines()]
        return "\n".join(lines + [f"  note: {message}" for message in self.messages])

    def _repr_html_(self) -> str:
        ratios = [[f"ratio to {what}", ratio] for what, ratio in self._ratios()]
        return html_table(
            [self.path, ""], [*self._rows(), *ratios, ["time", format_duration(self.seconds)]]
        ) + html_table(_HEADER, self._largest())


_HEADER = ["largest tables", "raw", "stored", "ratio"]


@dataclass
class VerifyReport:
    """What a verification found.

    Parameters
    ----------
    path : str
    against : str or None
    entries, raw_bytes : int
        What was decoded.
    differences : list of str
        One line each; empty where all is equal.
    outside : list of str
        Those of them that are in no branch: objects beside the trees, titles, the layout of the
        file. Where they are all, every value of every branch is equal.
    """

    path: str
    against: str | None
    entries: int
    raw_bytes: int
    differences: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    @property
    def branches_equal(self) -> bool:
        """Whether no branch differs, whatever else does."""
        return len(self.outside) == len(self.differences)

    def __str__(self) -> str:
        checked = f"{plural(self.entries, 'entry', 'entries')}, {format_bytes(self.raw_bytes)}"
        if self.against is None:
            return f"{self.path}: sound ({checked})"
        if self.ok:
            return f"{self.path}: equal to {self.against}, bit for bit ({checked})"
        what = plural(len(self.differences), "difference")
        where = ", all outside of the branches, which are equal" if self.branches_equal else ""
        lines = [f"{self.path}: {what} to {self.against}{where} ({checked})"]
        return "\n".join(lines + [f"  {line}" for line in self.differences])

    def _repr_html_(self) -> str:
        first, *others = str(self).splitlines()
        return html_table([first], [[line.strip()] for line in others])
