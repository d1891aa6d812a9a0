"""Kernels compiled by numba, and a cache of them that knows what they are made of.

Numba keeps machine code on disk and takes it to be valid as long as the file of the kernel's own
function is what it was. But a kernel contains what it calls, and the constants it names, from
whatever module they are. The cache here is valid for the sources of all modules of the package
that a kernel's code reaches, and for the constants it takes from elsewhere. Where numba puts the
files (beside the module, below ``NUMBA_CACHE_DIR``, or in a folder of the user) stays its choice.
"""

from __future__ import annotations

import hashlib
import inspect
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numba as nb
import numpy as np
from numba.core import caching, types
from numba.core.dispatcher import Dispatcher
from numba.extending import intrinsic as numba_intrinsic

#: What damaged or foreign files of a cache lead to.
_DAMAGE = (
    AttributeError, EOFError, ImportError, IndexError, KeyError, TypeError, ValueError,
    pickle.UnpicklingError,
)  # fmt: skip

# What numba says of its options leaves some out.
_njit: Any = nb.njit


def kernel(function: Callable[..., Any] | None = None, /, *, makes_arrays: bool = True) -> Any:
    """Compile a function when it is called first, without the interpreter's lock; keep the code.

    Parameters
    ----------
    function : callable
    makes_arrays : bool
        False for kernels that work on given arrays only, and whose parts do. Numba then counts
        no references, which costs more than the work of small parts of large kernels.

    Returns
    -------
    callable
        A numba dispatcher.
    """
    if function is None:
        return lambda function: kernel(function, makes_arrays=makes_arrays)
    options = {} if makes_arrays else {"_nrt": False}
    dispatcher: Any = _njit(nogil=True, no_cfunc_wrapper=True, **options)(function)
    if hasattr(dispatcher, "py_func"):  # else numba is told not to compile
        _source(function.__module__)
        dispatcher._cache = _LazyCache(function)
    return dispatcher


def part(function: Callable[..., Any]) -> Any:
    """Make a function a part of the kernels that call it: numba puts its code where it is called.

    It cannot be called by anything else, and whatever it is given is not copied.
    """
    return _njit(inline="always")(function)


def intrinsic(function: Callable[..., Any]) -> Any:
    """Make an instruction for kernels; see :func:`numba.extending.intrinsic`."""
    _source(function.__module__)
    return numba_intrinsic(function)


@cache
def _source(module: str) -> bytes | None:
    """Digest of a module's source; None if there is none.

    Called as the module is imported, so that what is read is what runs even if somebody edits
    the file before its kernels are compiled.
    """
    loaded = sys.modules.get(module)
    path = getattr(loaded, "__file__", None)
    if path is None:
        return None
    try:
        if Path(path).is_file():
            data = Path(path).read_bytes()
        else:  # in a zip archive
            data = loaded.__spec__.loader.get_data(path)  # type: ignore[union-attr]
    except (AttributeError, OSError):
        return None
    return hashlib.sha256(data).digest()


def fingerprint(function: Callable[..., Any]) -> str | None:
    """Return a digest of all that a kernel's machine code depends on, but for its arguments.

    Parameters
    ----------
    function : callable
        The kernel's Python function.

    Returns
    -------
    str or None
        None if a source cannot be read.
    """
    reach = _Reach(function.__module__.partition(".")[0])
    reach.visit(function.__name__, function)
    digest = hashlib.sha256()
    for module in sorted(reach.modules):
        source = _source(module)
        if source is None:
            return None
        digest.update(f"{module}\n".encode() + source)
    for constant in sorted(reach.constants):
        digest.update(f"{constant}\n".encode())
    return digest.hexdigest()


class _Reach:
    """Modules of a package and constants that a function's code leads to.

    Parameters
    ----------
    package : str
        Other packages are left out: their versions are those of an installation.
    """

    def __init__(self, package: str) -> None:
        self._package = package
        self._seen: dict[int, Any] = {}
        self.modules: set[str] = set()
        self.constants: set[str] = set()

    def visit(self, name: str, value: Any) -> None:
        """Follow a value that goes by ``name`` where it is used."""
        if isinstance(value, Dispatcher):
            value = value.py_func
        elif hasattr(value, "_defn"):  # an intrinsic
            value = value._defn
        value = inspect.unwrap(value) if callable(value) else value
        if id(value) in self._seen:
            return
        if isinstance(value, FunctionType):
            self._enter(value, self._visit_function)
        elif isinstance(value, type):
            self._enter(value, self._visit_class)
        elif isinstance(value, tuple):
            self._visit_constant(name, value)
            for item in value:
                self.visit(name, item)
        elif not isinstance(value, ModuleType):
            self._visit_constant(name, value)
            self.visit(name, type(value))

    def _enter(self, value: Any, visit: Callable[[Any], None]) -> None:
        self._seen[id(value)] = value
        if value.__module__.partition(".")[0] == self._package:
            self.modules.add(value.__module__)
            visit(value)

    def _visit_function(self, function: FunctionType) -> None:
        names = set(_names(function.__code__))
        for name in names:
            if name not in function.__globals__:
                continue
            value = function.__globals__[name]
            self.visit(name, value)
            if isinstance(value, ModuleType):
                for attribute in names & vars(value).keys():
                    self.visit(attribute, vars(value)[attribute])
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            self.visit(name, cell.cell_contents)

    def _visit_class(self, kind: type) -> None:
        for base in kind.__bases__:
            self.visit(base.__name__, base)
        for name, value in vars(kind).items():
            if isinstance(value, FunctionType):
                self.visit(name, value)

    def _visit_constant(self, name: str, value: Any) -> None:
        if isinstance(value, np.ndarray):
            what = f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
        else:
            what = repr(value)
        if " at 0x" not in what:  # else an object whose class is all that is to be known
            self.constants.add(f"{name} = {what}")


def _names(code: CodeType) -> Iterator[str]:
    """Names that some code and the code inside it look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _fields(kind: Any) -> Iterator[tuple[str, ...]]:
    """Names of the fields of the named tuples among some types; numba's key leaves them out."""
    if isinstance(kind, types.BaseNamedTuple):
        named: Any = kind
        yield named.fields
    for member in kind if isinstance(kind, tuple) else getattr(kind, "types", ()):
        yield from _fields(member)


@cache
def _warn(reason: str) -> None:
    """Say once that compiled code is not kept."""
    warnings.warn(
        f"compiled code is not kept ({reason}), so that every process compiles it anew, which takes"
        " up to a minute: let the environment variable NUMBA_CACHE_DIR name a folder with space"
        " that can be written",
        RuntimeWarning,
        stacklevel=2,
    )


class _Files(caching.IndexDataCacheFile):
    """The index and the files of a kernel.

    Each file says what it was made of and for: the index alone does not hold against processes
    of two versions, or with two signatures, that write at the same time.
    """

    def __init__(self, cache_path: str, filename_base: str, stamp: str) -> None:
        super().__init__(cache_path, filename_base, stamp)  # type: ignore[no-untyped-call]
        self._stamp = stamp

    def _load_index(self) -> Any:
        # Numba reads what an index is of only after all its types, whose classes may be gone.
        with suppress(*_DAMAGE, OSError):
            return super()._load_index()  # type: ignore[no-untyped-call]
        return {}

    def save(self, key: Any, data: Any) -> None:
        super().save(key, (self._stamp, key, data))  # type: ignore[no-untyped-call]

    def load(self, key: Any) -> Any:
        try:
            found = super().load(key)  # type: ignore[no-untyped-call]
        except _DAMAGE:  # a process died as it wrote, or the disk was full
            return None
        valid = isinstance(found, tuple) and found[:2] == (self._stamp, key)
        return found[2] if valid else None


class _KernelCache(caching.FunctionCache):
    """The cache of a kernel: numba's, but for what makes it valid."""

    def __init__(self, function: Callable[..., Any], stamp: str) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, stamp)

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        key = super()._index_key(sig, codegen)  # type: ignore[no-untyped-call]
        return (*key, tuple(_fields(sig)))


class _LazyCache(caching._Cache):
    """Makes a kernel's cache when it is needed: by then all that the kernel names is there.

    Imports touch no file of the cache. Where no folder can be written, nothing is kept, and what
    cannot be read is compiled anew.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._made: Any = None

    @property
    def _cache(self) -> Any:
        if self._made is None:
            self._made = caching.NullCache()
            stamp = fingerprint(self._function)
            if stamp is not None:
                try:
                    self._made = _KernelCache(self._function, stamp)
                except (RuntimeError, OSError):  # numba finds no folder that it can write to
                    _warn("there is no folder for it that can be written")
        return self._made

    @property
    def cache_path(self) -> Any:
        return self._cache.cache_path

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        return self._cache.load_overload(sig, target_context)

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            self._cache.save_overload(sig, data)
        except OSError as error:  # no space, no right to write any more
            _warn(str(error))
            self._made = caching.NullCache()

    def enable(self) -> None:
        self._cache.enable()

    def disable(self) -> None:
        self._cache.disable()

    def flush(self) -> None:
        self._cache.flush()


__all__ = ["fingerprint", "intrinsic", "kernel", "part"]
