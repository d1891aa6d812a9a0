"""Differences between a model and a tree: unknown and missing columns."""

from __future__ import annotations

from vortex_hep.core.schema import TreeSource
from vortex_hep.models.model import Model
from vortex_hep.nn.event.linking import is_virtual
from vortex_hep.nn.sequence.model import SequenceModel


def what_is_new(tree: TreeSource, model: Model) -> list[str]:
    """Name what the model does not know of the tree, and what the tree lacks of the model.

    Parameters
    ----------
    tree : TreeSource
    model : Model

    Returns
    -------
    list of str
        A line each, for users.
    """
    if not model.trees or not tree.num_entries:
        return []
    if tree.family not in model.trees and tree.family not in model.classical:
        return [f"tree {tree.name!r} is new to the model: the classical coders take all of it"]
    messages = []
    learnt = learnt_columns(model, tree.family)
    here = {c.name: c.dtype for t in tree.tables for c in t.columns}
    missing = sorted(learnt.keys() - here.keys())
    if missing:
        messages.append(
            f"tree {tree.name!r} lacks {len(missing)} of the model's branches: {_some(missing)}"
        )
    retyped = sorted(n for n, dtype in learnt.items() if here.get(n, dtype) != dtype)
    if retyped:
        messages.append(
            f"tree {tree.name!r} has {len(retyped)} branches of another type than the model learnt,"
            f" left to the classical coders: {_some(retyped)}"
        )
    # A model that was stored in an archive does not tell what else it saw.
    passed_over = model.classical.get(tree.family)
    if passed_over is None:
        return messages
    new = sorted(here.keys() - learnt.keys() - set(passed_over))
    if new:
        messages.append(
            f"tree {tree.name!r} has {len(new)} branches that are new to the model, left to the"
            f" classical coders: {_some(new)}"
        )
    return messages


def learnt_columns(model: Model, family: str) -> dict[str, str]:
    """Columns of a family of trees that a model can predict, with their dtypes."""
    out: dict[str, str] = {}
    for m in model.tables(family).values():
        if isinstance(m, SequenceModel):
            out |= {p.name: p.dtype for p in m.layout.parts}
        else:
            out |= {n: f.dtype for f in m.fields for n in f.columns if not is_virtual(n)}
    return out


def _some(names: list[str], most: int = 5) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
