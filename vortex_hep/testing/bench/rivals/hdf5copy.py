"""Copies of HDF5 files object by object, with some datasets written anew.

Values are moved as the bytes that the file's own type has for them, so that neither NaN payloads
nor types that NumPy lacks can change on the way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Remade:
    """A dataset to be written in place of another.

    Parameters
    ----------
    values : array
        As :func:`values_of` gives them.
    shape, maxshape : tuple
    plist : h5py PropDCID
        How it is stored.
    """

    values: Any
    shape: tuple[int, ...]
    maxshape: tuple[int | None, ...]
    plist: Any


#: Says what to write for a dataset; None to copy it as it is stored.
Remake = Callable[[Any], "Remade | None"]


def copy_file(
    source: str | os.PathLike[str], target: str | os.PathLike[str], remake: Remake, **how: Any
) -> None:
    """Copy a file: groups, links, attributes, and datasets as they are or as ``remake`` says.

    The same input gives the same bytes. Attributes and values that are references are left out:
    they point to places of the old file.

    Parameters
    ----------
    source, target : path
    remake : callable
    **how
        Further options of :class:`h5py.File` for the target.
    """
    import h5py

    with h5py.File(source, "r") as old, h5py.File(target, "w", **how) as new:
        _copy_attributes(old, new)
        _copy_members(old, new, remake, {_address(old): "/"})


def _copy_members(old: Any, new: Any, remake: Remake, seen: dict[int, str]) -> None:
    import h5py

    for name in old:
        link = old.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            new[name] = link
            continue
        item = old[name]
        known = seen.setdefault(_address(item), item.name)
        if known != item.name:
            new[name] = new[known]
        elif isinstance(item, h5py.Group):
            group = new.create_group(name, track_order=_is_ordered(item))
            _copy_attributes(item, group)
            _copy_members(item, group, remake, seen)
        elif isinstance(item, h5py.Dataset) and (made := remake(item)) is not None:
            write_dataset(new, name, item, made)
            _copy_attributes(item, new[name])
        else:
            old.copy(item, new, name, without_attrs=False)


def write_dataset(group: Any, name: str, like: Any, made: Remade) -> None:
    """Write a dataset of the type of ``like``."""
    import h5py

    space = h5py.h5s.create_simple(made.shape, tuple(_extent(n) for n in made.maxshape))
    made.plist.set_obj_track_times(False)  # the same input must give the same bytes
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_char_encoding(h5py.h5t.CSET_UTF8)
    filetype = like.id.get_type()
    dataset = h5py.h5d.create(group.id, name.encode(), filetype, space, made.plist, links)
    if like.dtype.hasobject:
        h5py.Dataset(dataset)[...] = made.values
    else:
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, made.values, filetype)


def values_of(dataset: Any, start: int = 0, stop: int | None = None) -> Any:
    """Rows of a dataset: as bytes of the file's type, or as objects where it has pointers.

    Parameters
    ----------
    dataset : h5py.Dataset
        Of one dimension at least.
    start, stop : int, optional
    """
    import h5py

    stop = len(dataset) if stop is None else stop
    if dataset.dtype.hasobject:
        return dataset[start:stop]
    filetype = dataset.id.get_type()
    shape = (stop - start, *dataset.shape[1:])
    out = np.zeros(shape, f"V{filetype.get_size()}")
    if out.size:
        space = dataset.id.get_space()
        space.select_hyperslab((start, *(0 for _ in shape[1:])), shape)
        dataset.id.read(h5py.h5s.create_simple(shape), space, out, filetype)
    return out


def datasets_of(group: Any) -> Iterator[Any]:
    """Yield every dataset below a group once, in the order of names."""
    import h5py

    found: list[Any] = []
    group.visititems(lambda _, item: found.append(item))
    return (item for item in found if isinstance(item, h5py.Dataset))


def _copy_attributes(old: Any, new: Any) -> None:
    import h5py

    for name in old.attrs:
        attribute = h5py.h5a.open(old.id, name.encode())
        kind = attribute.get_type()
        if kind.detect_class(h5py.h5t.REFERENCE):
            continue
        copy = h5py.h5a.create(new.id, name.encode(), kind, attribute.get_space())
        if attribute.get_space().get_simple_extent_type() == h5py.h5s.NULL:
            continue
        values = np.empty(attribute.shape, attribute.dtype)
        attribute.read(values, kind if not values.dtype.hasobject else None)
        copy.write(values, kind if not values.dtype.hasobject else None)


def _address(item: Any) -> int:
    import h5py

    return int(h5py.h5o.get_info(item.id).addr)


def _is_ordered(group: Any) -> bool:
    return bool(group.id.get_create_plist().get_link_creation_order())


def _extent(size: int | None) -> Any:
    import h5py

    return h5py.h5s.UNLIMITED if size is None else size
