"""Models as bytes, to be sent to workers."""

from __future__ import annotations

import io

from vortex_hep.models.model import Model


def model_bytes(model: Model) -> bytes:
    """What :meth:`~vortex_hep.models.model.Model.save` would write."""
    out = io.BytesIO()
    model.write_to(out)
    return out.getvalue()
