"""The floating-point type of a training, by what the device computes natively."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from vortex_hep.errors import UnsupportedFeatureError, UnsupportedTypeError

_TYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
#: CUDA devices from this generation on compute in bfloat16.
_BFLOAT16_CAPABILITY = (8, 0)


def _cpu_has_bfloat16() -> bool:
    """Whether the CPU has instructions for it; False where this torch cannot tell."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


@dataclass(frozen=True)
class Precision:
    """Mixed precision on a device: weights stay float32, what is computed of them need not.

    Parameters
    ----------
    name : {"float32", "bfloat16", "float16"}
    device_type : str
        "cpu", "cuda" or another type of device as torch names it; ROCm's is "cuda".
    """

    name: str
    device_type: str

    @classmethod
    def for_device(cls, device: str | torch.device, wanted: str = "auto") -> Precision:
        """Choose what is fastest on a device without loss of range where it can be had.

        Parameters
        ----------
        device : str or torch.device
        wanted : {"auto", "float32", "bfloat16", "float16"}
            With "auto", bfloat16 where it is native: CUDA devices of capability 8.0 and more,
            ROCm, and CPUs with instructions for it (a training step of small transformers takes
            1.3 to 1.9 times as long in float32). Other CUDA devices get float16, whose
            gradients are scaled; all else float32.

        Raises
        ------
        UnsupportedTypeError
            Another name.
        UnsupportedFeatureError
            bfloat16 is asked for on a CUDA device that has none.

        Examples
        --------
        >>> Precision.for_device("cpu", "float32").name
        'float32'
        """
        place = torch.device(device)
        if wanted != "auto" and wanted not in _TYPES:
            raise UnsupportedTypeError(
                f"unknown precision {wanted!r}", hint=f"known are auto, {', '.join(_TYPES)}"
            )
        native = False
        if place.type == "cuda":
            native = bool(torch.version.hip) or (
                torch.cuda.get_device_capability(place) >= _BFLOAT16_CAPABILITY
            )
            if wanted == "bfloat16" and not native:
                raise UnsupportedFeatureError(
                    f"{torch.cuda.get_device_name(place)} does not compute in bfloat16",
                    hint="use 'float16' or 'auto'",
                )
        elif place.type == "cpu":
            native = _cpu_has_bfloat16()
        if wanted == "auto":
            wanted = "bfloat16" if native else "float16" if place.type == "cuda" else "float32"
        return cls(wanted, place.type)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which networks compute in this precision."""
        return torch.autocast(self.device_type, _TYPES[self.name], enabled=self.name != "float32")

    def scaler(self) -> torch.amp.GradScaler:
        """Return what keeps small gradients above zero; it does nothing but for float16."""
        return torch.amp.GradScaler(self.device_type, enabled=self.name == "float16")
