"""A model as the bytes of its file, to be sent."""

from __future__ import annotations

import io

from vortex_hep.codec.container import KIND_MODEL, ContainerWriter
from vortex_hep.model import Model


def model_bytes(model: Model) -> bytes:
    """What :meth:`~vortex_hep.model.Model.save` would write."""
    out = io.BytesIO()
    writer = ContainerWriter(out, kind=KIND_MODEL, features=model.features)
    writer.finish({"model": model.add_to(writer), "classical": model.classical})
    return out.getvalue()
