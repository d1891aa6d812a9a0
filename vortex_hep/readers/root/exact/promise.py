"""The promise to restore a ROOT file byte for byte: made on opening, proved on reading."""

from __future__ import annotations

from collections.abc import Iterator

from vortex_hep.errors import UnsupportedFeatureError
from vortex_hep.readers.root.contents import NotPresentableError, RootContents
from vortex_hep.readers.root.exact.proof import exact_blobs, survey_of

#: A file less of which can be made again is smaller when it is carried whole.
_ENOUGH = 0.5
#: Bytes that the place of a record takes, about.
_PLACE_BYTES = 1
#: Bytes by which the forecast may fail without a word.
_MUCH = 10_000


class Exact:
    """What is known, and then proved, of a file that is to come back byte for byte.

    Parameters
    ----------
    source : RootContents

    Raises
    ------
    UnsupportedFeatureError
        Trees are to be left out.
    NotPresentableError
        Too little of the file can be made again.
    """

    def __init__(self, source: RootContents) -> None:
        self._source = source
        self._kept: tuple[int, int] | None = None
        if source.left_out:
            entry = source.records.entries[min(source.left_out)]
            raise UnsupportedFeatureError(
                "a file that lacks a tree cannot be the same byte for byte",
                path=source.path, tree=entry.path,
                hint="ask for all trees, or do without exact=True (--exact)",
            )  # fmt: skip
        self._survey = survey_of(source)
        if self._survey.share < _ENOUGH:
            tried = f"{self._survey.good} of {self._survey.tried} sampled records"
            msg = (
                f"only {tried}, {self._survey.share:.0%} of their bytes, come out the same when"
                " they are compressed again; without exact=True (--exact) its trees are compressed"
                " and can be read"
            )
            raise NotPresentableError(msg)

    def forecast(self) -> str:
        """Say what share of the file can be made again, and what the rest costs."""
        survey, size = self._survey, self._source.records.reader.size
        again = survey.share * survey.total
        extra = size - again + _PLACE_BYTES * survey.records
        share = again / max(size, 1)
        return (
            f"{survey.good} of {survey.tried} sampled records come out the same when they are"
            f" compressed again: about {share:.1%} of the file is made anew, the rest and all"
            f" places are stored beside it, about +{_bytes(extra)}"
        )

    def extended(self, blobs: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        """The remainder, and behind it what brings back all bytes."""
        taken = {}
        for name, blob in blobs:
            taken[name] = blob
            yield name, blob
        kept = 0
        identity = self._source.identity
        for name, blob in exact_blobs(self._source, taken, self._survey, identity):
            kept += len(blob) if name.startswith("root/exact/kept/") else 0
            yield name, blob
        self._kept = kept, identity.size

    def regret(self) -> str | None:
        """Say that the file is smaller when it is carried whole, where that came out."""
        kept, size = self._kept or (0, 0)
        if kept <= (1 - _ENOUGH) * size:
            return None
        return (
            f"only {1 - kept / size:.0%} of its bytes come out the same when they are made again;"
            " without exact=True (--exact) its trees are compressed and can be read"
        )

    def notes(self) -> list[str]:
        """Return what came of it."""
        if self._kept is None:
            return []
        kept, size = self._kept
        again = self._survey.share * self._survey.total
        more = kept > 2 * (size - again) + _MUCH
        return [
            f"the file comes back byte for byte: {1 - kept / max(size, 1):.1%} of it is made anew,"
            f" {_bytes(kept)} of it are kept as they are"
            + (", more than the sample let expect" if more else "")
        ]


def _bytes(size: float) -> str:
    return f"{size / 1e6:.3g} MB" if size >= 1e5 else f"{size / 1e3:.3g} kB"
