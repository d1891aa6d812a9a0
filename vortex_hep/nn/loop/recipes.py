"""Recipes: training settings for given hardware, in YAML files; without torch."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from vortex_hep.core.install import install_hint
from vortex_hep.errors import (
    NotFoundError,
    SourceError,
    UnsupportedFeatureError,
    UnsupportedTypeError,
    VortexError,
)
from vortex_hep.nn.checked import checked
from vortex_hep.nn.loop.options import LoopOptions
from vortex_hep.nn.transformer.config import TransformerConfig
from vortex_hep.nn.transformer.estimate import vram_estimate_gb

_SUFFIXES = (".yaml", ".yml")
#: Files of ``configs/``, those of the smallest transformers first.
_BUILT_IN = (
    "laptop_cpu", "colab_t4", "rtx4070_8gb", "default", "rtx4090_24gb", "amd_mi300x",
)  # fmt: skip
_PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Recipe:
    """A transformer and how to train it on some hardware.

    Parameters
    ----------
    name : str
        Of the file, without its suffix.
    hardware : str
        What it is for, in one line for users.
    memory_gb : float
        Memory that this hardware has, in units of 10**9 bytes.
    transformer : TransformerConfig
        Its ``types`` give way to the width of the records that are trained on.
    batch : int
        Lanes per step.
    lane_tokens : int
        Tokens of a lane, rounded down to whole records, but at least one.
    rate, warmup, steps
        As :class:`~vortex_hep.nn.loop.options.LoopOptions` has them, and so with ``seconds``,
        ``weight_decay``, ``precision``, ``compile``, ``eval_every`` and ``patience``.
    checkpointing : bool
        Activation recomputation: compute activations again in the backward pass instead of
        keeping them.
    device : {"cuda", "cpu"}
        Kind of device that estimates are made for; ROCm's is "cuda". It selects nothing.

    Raises
    ------
    UnsupportedTypeError
        Values out of range.
    """

    name: str
    hardware: str
    memory_gb: float
    transformer: TransformerConfig
    batch: int
    lane_tokens: int
    rate: float
    warmup: int
    steps: int
    seconds: float | None = None
    weight_decay: float = 0.01
    precision: str = "auto"
    checkpointing: bool = False
    compile: bool | None = None
    eval_every: int = 250
    patience: int = 5
    device: str = "cuda"

    def __post_init__(self) -> None:
        whole = ("batch", "lane_tokens", "steps", "eval_every", "patience")
        above = ("memory_gb", "rate", *(("seconds",) if self.seconds is not None else ()))
        wrong = [f"{name} must be at least 1" for name in whole if getattr(self, name) < 1]
        wrong += [
            f"{name} must be finite and above 0"
            for name in above
            if not 0 < getattr(self, name) < math.inf
        ]
        wrong += [
            f"{name} must be finite and at least 0"
            for name in ("warmup", "weight_decay")
            if not 0 <= getattr(self, name) < math.inf
        ]
        for name, known in (("precision", _PRECISIONS), ("device", ("cuda", "cpu"))):
            if getattr(self, name) not in known:
                wrong.append(f"{name} must be one of {', '.join(known)}")
        if wrong:
            raise UnsupportedTypeError(f"recipe {self.name!r}: {'; '.join(wrong)}")

    def loop_options(self, **overrides: Any) -> LoopOptions:
        """Return the options of the training loop.

        Parameters
        ----------
        **overrides
            Fields of :class:`~vortex_hep.nn.loop.options.LoopOptions` to set otherwise, or that
            a recipe does not have.

        Raises
        ------
        UnsupportedTypeError
            Values that do not fit together.

        Examples
        --------
        >>> load_recipe("laptop_cpu").loop_options(seconds=60.0, seed=3).seconds
        60.0
        """
        shared = {f.name for f in fields(self)} & {f.name for f in fields(LoopOptions)}
        return LoopOptions(**{name: getattr(self, name) for name in shared} | overrides)

    def memory_estimate(self) -> dict[str, float]:
        """Estimate the memory of a training step, in units of 10**9 bytes.

        On a GPU activations count two bytes unless the precision is float32; on a CPU four,
        which is what most compute in. See
        :func:`~vortex_hep.nn.transformer.estimate.vram_estimate_gb`.
        """
        half = self.precision in ("bfloat16", "float16") or (
            self.precision == "auto" and self.device == "cuda"
        )
        return vram_estimate_gb(
            self.transformer, self.batch, self.lane_tokens, bytes_per_value=2 if half else 4,
            checkpointing=self.checkpointing, device=self.device,
        )  # fmt: skip


def recipe_names() -> list[str]:
    """Return the names of the built-in recipes, those of the smallest transformers first.

    Examples
    --------
    >>> recipe_names()[0]
    'laptop_cpu'
    """
    return list(_BUILT_IN)


def load_recipe(name_or_path: str | os.PathLike[str]) -> Recipe:
    """Return a built-in recipe, or the one in a YAML file.

    Parameters
    ----------
    name_or_path : str or path
        One of :func:`recipe_names`; else a file, which has the fields of :class:`Recipe` but
        ``name`` as keys. Those with defaults may be left out, and so may all of ``transformer``.

    Raises
    ------
    NotFoundError
        No built-in recipe has this name, and it is no file.
    SourceError
        The file cannot be read, or is not YAML.
    UnsupportedTypeError
        An unknown or missing key, or a value of another type or out of range.
    UnsupportedFeatureError
        PyYAML is not installed.

    Examples
    --------
    >>> load_recipe("default").transformer.d_model
    512
    """
    text = os.fspath(name_or_path)
    if text in _BUILT_IN:
        built_in = resources.files("vortex_hep.nn.loop") / "configs" / f"{text}.yaml"
        return recipe_of(built_in.read_text("utf-8"), text, path=f"{text}.yaml")
    path = Path(text)
    is_name = path.name == text and path.suffix not in _SUFFIXES and not path.exists()
    if is_name and isinstance(name_or_path, str):
        near = difflib.get_close_matches(text, _BUILT_IN, 3)
        raise NotFoundError(
            f"no recipe {text!r}",
            hint=(f"did you mean {', '.join(map(repr, near))}? " if near else "")
            + f"built-in are {', '.join(_BUILT_IN)}; others are YAML files",
        )
    try:
        content = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise SourceError("no such file", path=text) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"this recipe cannot be read: {error}", path=text) from error
    return recipe_of(content, path.stem, path=text)


def recipe_of(text: str, name: str, *, path: str) -> Recipe:
    """Make a recipe of the text of a YAML file.

    Parameters
    ----------
    text : str
    name : str
    path : str
        Where the text is from, for messages.

    Raises
    ------
    SourceError, UnsupportedTypeError, UnsupportedFeatureError
        As for :func:`load_recipe`.
    """
    values = _parsed(text, path)
    sizes = values.pop("transformer", {})
    if not isinstance(sizes, Mapping):
        raise UnsupportedTypeError(f"transformer must hold keys, not {sizes!r}", path=path)
    known = checked(Recipe, {k: v for k, v in values.items() if k != "name"}, "recipe", path=path)
    if "name" in values:
        raise UnsupportedTypeError(
            "recipe: unknown key 'name'", path=path, hint="a recipe is named by its file"
        )
    needed = {f.name for f in fields(Recipe) if f.default is MISSING} - {"name", "transformer"}
    if missing := sorted(needed - set(known)):
        raise UnsupportedTypeError(f"recipe: {', '.join(missing)} missing", path=path)
    try:
        config = TransformerConfig(
            **checked(TransformerConfig, sizes, "recipe, transformer", path=path)
        )
        return Recipe(name=name, transformer=config, **known)
    except VortexError as error:
        if error.path is not None:
            raise
        raise UnsupportedTypeError(error.message, path=path, hint=error.hint) from error


def _parsed(text: str, path: str) -> dict[Any, Any]:
    """The keys and values of a YAML file."""
    try:
        import yaml
    except ImportError as error:
        raise UnsupportedFeatureError(
            "PyYAML is not installed: recipes cannot be read", path=path,
            hint=install_hint("train"),
        ) from error  # fmt: skip
    try:
        tree = yaml.compose(text, yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SourceError(f"not YAML: {error}", path=path) from error
    if not isinstance(values, dict):
        raise UnsupportedTypeError("a recipe must hold keys and values", path=path)
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        if not isinstance(node, yaml.MappingNode):
            continue
        seen: set[str] = set()
        for key, value in node.value:
            # The parser would keep the last one and say nothing.
            if str(key.value) in seen:
                raise UnsupportedTypeError(
                    f"key {key.value!r} comes twice, again in line {key.start_mark.line + 1}",
                    path=path,
                )
            seen.add(str(key.value))
            nodes.append(value)
    return values
