"""RNTuple envelopes: positions of pages and page lists, and writing them elsewhere.

Structures follow ROOT's RNTuple ``BinaryFormatSpecification.md`` (1.0), whose sections are named.
Only locators, compression settings and checksums change when pages move; envelopes keep their
length.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import xxhash

#: "Envelopes": type and length in front, XXH3-64 behind.
_ENVELOPE = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<Q")
#: "Frames": size (negative for lists), number of items.
_FRAME_SIZE = struct.Struct("<q")
_FRAME_ITEMS = struct.Struct("<I")
#: "Page Locations": elements (negative with checksum) and a standard locator (size, offset).
_PAGE = struct.Struct("<iiQ")
#: "Page Locations": first element, compression settings.
_COLUMN_END = struct.Struct("<qI")
#: "Cluster Group Record Frame": size, first entry, entries, clusters, envelope link.
_GROUP = struct.Struct("<qQQI")
_LINK = struct.Struct("<QiQ")
#: "Footer Envelope": feature flags, header checksum.
_FOOTER = struct.Struct("<QQ")
#: "Anchor Schema": versions, seek, nbytes, length of header and footer, fMaxKeySize; big-endian.
_ANCHOR = struct.Struct(">HHHHQQQQQQQ")
_ANCHOR_CHECKSUM = struct.Struct(">Q")
_CLUSTER_SUMMARY = struct.Struct("<qQQ")


@dataclass(frozen=True)
class Page:
    """A page in a page list; ``at`` is the position of its description."""

    at: int
    elements: int
    has_checksum: bool
    size: int
    offset: int


@dataclass
class ColumnPages:
    """Pages of one column in one cluster.

    ``at_settings`` is where its compression stands; -1 where another representation of the column
    is used in the cluster, or the column came later.
    """

    pages: list[Page]
    at_settings: int
    settings: int


@dataclass
class PageList:
    """One page list envelope: clusters, columns, pages."""

    clusters: list[list[ColumnPages]] = field(default_factory=list)
    #: First entry and number of entries of each cluster.
    entries: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class ClusterGroup:
    """A cluster group in the footer; ``at`` is the position of its envelope link."""

    at: int
    length: int
    size: int
    offset: int


@dataclass
class Anchor:
    """The anchor: what the RNTuple's key holds, behind its byte count and version."""

    prefix: bytes
    fields: list[int]

    @classmethod
    def unpack(cls, payload: bytes) -> Anchor:
        """Parse and check an anchor's bytes."""
        start = len(payload) - _ANCHOR.size - _ANCHOR_CHECKSUM.size
        if start < 0:
            msg = "RNTuple anchor is too short"
            raise ValueError(msg)
        (checksum,) = _ANCHOR_CHECKSUM.unpack_from(payload, start + _ANCHOR.size)
        if checksum != xxhash.xxh3_64_intdigest(payload[start : start + _ANCHOR.size]):
            msg = "checksum of the RNTuple anchor is wrong"
            raise ValueError(msg)
        return cls(payload[:start], list(_ANCHOR.unpack_from(payload, start)))

    def pack(self) -> bytes:
        """The anchor's bytes, with a fresh checksum."""
        body = _ANCHOR.pack(*self.fields)
        return self.prefix + body + _ANCHOR_CHECKSUM.pack(xxhash.xxh3_64_intdigest(body))

    @property
    def header(self) -> tuple[int, int, int]:
        """Offset, stored size and length of the header envelope."""
        return self.fields[4], self.fields[5], self.fields[6]

    @property
    def footer(self) -> tuple[int, int, int]:
        """Offset, stored size and length of the footer envelope."""
        return self.fields[7], self.fields[8], self.fields[9]

    def place(self, header: tuple[int, int], footer: tuple[int, int]) -> None:
        """Set offset and stored size of both envelopes."""
        self.fields[4], self.fields[5] = header
        self.fields[7], self.fields[8] = footer


def check_envelope(data: bytes | bytearray, kind: int) -> None:
    """Raise ValueError unless ``data`` is an envelope of ``kind`` with a sound checksum."""
    if len(data) < _ENVELOPE.size + _CHECKSUM.size:
        msg = "RNTuple envelope is too short"
        raise ValueError(msg)
    (head,) = _ENVELOPE.unpack_from(data, 0)
    (checksum,) = _CHECKSUM.unpack_from(data, len(data) - _CHECKSUM.size)
    if head & 0xFFFF != kind or head >> 16 != len(data):
        msg = f"RNTuple envelope of kind {head & 0xFFFF} and {head >> 16} bytes"
        raise ValueError(msg)
    if checksum != xxhash.xxh3_64_intdigest(bytes(data[: -_CHECKSUM.size])):
        msg = "checksum of an RNTuple envelope is wrong"
        raise ValueError(msg)


def seal_envelope(data: bytearray) -> None:
    """Write the checksum of an envelope whose content has changed."""
    checksum = xxhash.xxh3_64_intdigest(bytes(data[: -_CHECKSUM.size]))
    _CHECKSUM.pack_into(data, len(data) - _CHECKSUM.size, checksum)


def _list(data: bytes | bytearray, position: int) -> tuple[int, int, int]:
    """Items, position of the first and end of a list frame."""
    (size,) = _FRAME_SIZE.unpack_from(data, position)
    (items,) = _FRAME_ITEMS.unpack_from(data, position + _FRAME_SIZE.size)
    if size >= 0 or position - size > len(data):
        msg = f"no list frame at {position}"
        raise ValueError(msg)
    return items, position + _FRAME_SIZE.size + _FRAME_ITEMS.size, position - size


def walk_page_list(data: bytes | bytearray) -> PageList:
    """Locate all pages of a page list envelope.

    Raises
    ------
    ValueError
        Its layout is unsupported: other locators, sharded clusters.
    """
    out = PageList()
    position = _ENVELOPE.size + _CHECKSUM.size
    count, position, end = _list(data, position)
    for _ in range(count):
        size, first, entries = _CLUSTER_SUMMARY.unpack_from(data, position)
        if entries >> 56:
            msg = "sharded cluster"
            raise ValueError(msg)
        out.entries.append((first, entries))
        position += size
    clusters, position, _ = _list(data, end)
    for _ in range(clusters):
        columns, position, end = _list(data, position)
        cluster = []
        for _ in range(columns):
            pages, position, stop = _list(data, position)
            found = []
            for _ in range(pages):
                elements, size, offset = _PAGE.unpack_from(data, position)
                if size < 0:
                    msg = "page with a locator that is not of the standard kind"
                    raise ValueError(msg)
                found.append(Page(position, abs(elements), elements < 0, size, offset))
                position += _PAGE.size
            (first,) = _FRAME_SIZE.unpack_from(data, position)
            if first < 0:  # suppressed: there are no settings
                settings = 0
            if first < 0 and found:
                msg = "pages of a suppressed column"
                raise ValueError(msg)
            at_settings = -1
            if first >= 0:
                at_settings = position + 8
                _, settings = _COLUMN_END.unpack_from(data, position)
            cluster.append(ColumnPages(found, at_settings, settings))
            position = stop
        out.clusters.append(cluster)
        position = end
    if len(out.clusters) != len(out.entries):
        msg = "page list with another number of clusters than it sums up"
        raise ValueError(msg)
    return out


def walk_footer(data: bytes | bytearray) -> list[ClusterGroup]:
    """Cluster groups of a footer envelope."""
    flags, _ = _FOOTER.unpack_from(data, _ENVELOPE.size)
    if flags:
        msg = f"feature flags {flags:#x}"
        raise ValueError(msg)
    position = _ENVELOPE.size + _FOOTER.size
    (size,) = _FRAME_SIZE.unpack_from(data, position)
    position += size  # schema extension
    count, position, _ = _list(data, position)
    out = []
    for _ in range(count):
        size = _GROUP.unpack_from(data, position)[0]
        at = position + _GROUP.size
        length, stored, offset = _LINK.unpack_from(data, at)
        if stored < 0:
            msg = "page list with a locator that is not of the standard kind"
            raise ValueError(msg)
        out.append(ClusterGroup(at, length, stored, offset))
        position += size
    return out


def has_attribute_sets(data: bytes | bytearray) -> bool:
    """Whether a footer envelope names RNTuples of attributes, by their offsets."""
    position = _ENVELOPE.size + _FOOTER.size
    (size,) = _FRAME_SIZE.unpack_from(data, position)
    _, _, end = _list(data, position + size)
    return end < len(data) - _CHECKSUM.size and _list(data, end)[0] > 0


def place_page(data: bytearray, page: Page, size: int, offset: int) -> None:
    """Write a page's locator."""
    elements = -page.elements if page.has_checksum else page.elements
    _PAGE.pack_into(data, page.at, elements, size, offset)


def place_settings(data: bytearray, column: ColumnPages, settings: int) -> None:
    """Write a column's compression settings."""
    if column.at_settings >= 0:
        struct.pack_into("<I", data, column.at_settings, settings)


def place_group(data: bytearray, group: ClusterGroup, size: int, offset: int) -> None:
    """Write a page list's locator into the footer."""
    _LINK.pack_into(data, group.at, group.length, size, offset)


def clear_page_list(data: bytes) -> bytes:
    """A page list without locators and checksum: these are written anew when restoring."""
    out = bytearray(data)
    for cluster in walk_page_list(data).clusters:
        for column in cluster:
            for page in column.pages:
                place_page(out, page, 0, 0)
    out[-_CHECKSUM.size :] = bytes(_CHECKSUM.size)
    return bytes(out)
