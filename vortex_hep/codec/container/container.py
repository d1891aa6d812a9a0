"""The container of archives (``.vxc``), models (``.vxm``) and weights (``.vxw``): SPEC section 2.

A file is a header, chunk frames, a footer that indexes them, and a trailer of fixed size at its
end. Every byte lies under a checksum, and every frame can be found without the footer.
"""

from __future__ import annotations

from vortex_hep.codec.container.container_format import (
    CHUNK_DTYPE,
    FEATURE_SEQUENCES,
    FORMAT_VERSION,
    KIND_ARCHIVE,
    KIND_MODEL,
    KIND_WEIGHTS,
    MAX_CHUNK_DECODED,
    MAX_METADATA,
    MAX_TOTAL_DECODED,
    Frame,
    xxh3,
)
from vortex_hep.codec.container.container_read import ContainerReader, check_decoded, scan_frames
from vortex_hep.codec.container.container_write import ContainerWriter
from vortex_hep.core.storage.atomic import atomic_output
from vortex_hep.core.storage.ranges import ByteSource, open_binary

__all__ = [
    "CHUNK_DTYPE",
    "FEATURE_SEQUENCES",
    "FORMAT_VERSION",
    "KIND_ARCHIVE",
    "KIND_MODEL",
    "KIND_WEIGHTS",
    "MAX_CHUNK_DECODED",
    "MAX_METADATA",
    "MAX_TOTAL_DECODED",
    "ByteSource",
    "ContainerReader",
    "ContainerWriter",
    "Frame",
    "atomic_output",
    "check_decoded",
    "open_binary",
    "scan_frames",
    "xxh3",
]
