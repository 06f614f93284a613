"""Pickles of plain arrays, read without trusting them: a few names are known, all others are refused (host side).

What stands behind a known name is a constructor here that can do no more than hold what the file says. Arrays are
checked before numpy sees their bytes, and all that is made together is bounded by the size of the file.
"""

import collections
import io
import os
import pathlib
import pickle
import re
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import scipy.sparse

from jaxface.types import FaceError

MAX_BYTES = 4 << 30  # the largest published face models are a tenth of it
_PLAIN_KINDS = re.compile(r"[biufcSU]\d+|O8?")  # dtype codes without fields
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # Python 2's names
_GROWTH, _SLACK = 4, 1 << 20  # times the file, and bytes, that all objects together may take


class Refused(ValueError):
    """A pickle that asks for something data does not need; the text is that thing's name."""


class Unusable(ValueError):
    """Data of a kind that is not read, or that contradicts itself; the text is the end of a sentence that says so."""


def load_pickle(path: str | os.PathLike) -> object:
    """What a pickle holds: containers, numbers, strings, numpy arrays and scipy.sparse's CSC and CSR matrices.

    Pickles of any protocol and of Python 2 (strings as latin1) are read, from any age of numpy and scipy; a chumpy
    array becomes the numpy array in it. Raises FaceError for a file that is missing or damaged, and, by name, for one
    that asks for anything else: no code that a file names is run.
    """
    data = read_bytes(path)
    return guard(SafeUnpickler(io.BytesIO(data), size=len(data)).load, path)


def read_bytes(path: str | os.PathLike) -> bytes:
    """The bytes of a file; FaceError if it is missing, a folder, empty, unreadable or absurdly large."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise FaceError(f"{path} is not a file: check the path.")
    try:
        size = path.stat().st_size
        if not 0 < size <= MAX_BYTES:
            raise FaceError(f"{path} has {size} bytes, of which nothing can be made: get a complete copy.")
        return path.read_bytes()
    except OSError as error:
        raise FaceError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error


def guard(load: Callable[[], Any], path: str | os.PathLike) -> Any:
    """The result of `load`, or a FaceError about the file: whatever bytes can do to a reader is the file's fault."""
    try:
        return load()
    except FaceError:
        raise
    except Refused as error:
        raise FaceError(
            f"{path} asks for {error}, which arrays do not need: use another copy, or save its arrays alone."
        ) from None
    except Unusable as error:
        raise FaceError(f"{path} {error}.") from None
    except Exception as error:  # broken opcodes raise nearly everything, MemoryError and RecursionError included
        raise FaceError(f"{path} is damaged, cut short or of another format: get a complete copy.") from error


class _Dtype:
    """numpy.dtype; its state brings the byte order."""

    def __init__(self, code: str, *_flags: bool) -> None:
        if not _PLAIN_KINDS.fullmatch(code):
            raise Unusable(f"holds an array of type {code!r}, but only plain numbers and strings are read")
        self.dtype = np.dtype(code)


def _set_order(kind: _Dtype, state: tuple) -> None:
    _, order, subarray, names, fields = state[:5]
    if not (subarray is names is fields is None):
        raise Unusable("holds an array of records, but only plain numbers and strings are read")
    kind.dtype = kind.dtype.newbyteorder(order)


def _empty_array(*_: Any) -> np.ndarray:
    """A numpy.ndarray or chumpy.ch.Ch, an array with a history of computations; the numbers follow as its state."""
    return np.empty(0)


def _fill_array(array: np.ndarray, state: Any) -> None:
    """Turns `array` into what its state says: numpy's (version,) shape, dtype, is Fortran, data; or chumpy's `x`."""
    if array.size:
        raise Unusable("holds an array that is made twice")
    if isinstance(state, dict):
        if not isinstance(state["x"], np.ndarray | float | int):
            raise Unusable("holds a chumpy array that is not of numbers")
        found = np.asarray(state["x"])
    else:
        shape, kind, is_fortran, data = state[-4:]
        found = _from_buffer(data, kind, shape, "F" if is_fortran else "C")
    numbers = list(found.flat) if found.dtype == object else found.tobytes()
    checked: Any = (1, found.shape, found.dtype, False, numbers)
    array.__setstate__(checked)


def _from_buffer(data: Any, kind: _Dtype, shape: tuple, order: Any, axes: tuple | None = None) -> np.ndarray:
    """What numpy has pickled with protocol 5; `axes` go with order K."""
    if kind.dtype == object:
        stored = np.fromiter(data, object)
    else:
        stored = np.frombuffer(_encode(data) if isinstance(data, str) else data, kind.dtype)
        stored = stored.astype(kind.dtype.newbyteorder("="), copy=False)
    if axes is None:
        return stored.reshape(_lengths(shape), order=order)
    return stored.reshape(_lengths(shape)).transpose(axes)


def _scalar(kind: _Dtype, data: bytes | str) -> np.generic:
    return _from_buffer(data, kind, (1,), "C")[0]


def _fill_matrix(matrix: Any, state: dict) -> None:
    """A scipy.sparse matrix, with arrays of its own: scipy trusts the indices once they were checked."""
    shape = _lengths(state["_shape"] if "_shape" in state else state["shape"])
    data, *places = (state[name] for name in ("data", "indices", "indptr"))
    if data.dtype.kind not in "biuf" or any(array.dtype.kind not in "iu" for array in places):
        raise Unusable("holds a sparse matrix that is not of numbers")
    checked = type(matrix)((data, *places), shape=shape, copy=True)
    checked.check_format(full_check=True)
    vars(matrix).update(vars(checked))


def _lengths(shape: Any) -> tuple[int, ...]:
    """A shape as the file has it; numpy would take -1 for a question."""
    if not all(type(length) is int and length >= 0 for length in shape):
        raise Unusable("holds an array whose shape is no shape")
    return tuple(shape)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise Refused(f"the encoding {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """How old protocols spell b""; with an argument, bytes would be any amount of memory."""
    return b""


def _reconstruct(kind: Callable, *_: Any) -> Any:
    """An empty object of the kind; its state follows."""
    return kind()


class SafeUnpickler(pickle._Unpickler):
    """Reads one pickle of a file of `size` bytes into containers, numbers, strings and arrays; Python-2 strings are
    taken as latin1.

    Based on pickle's version in Python, where opcodes can be replaced, and where a large memo index takes no memory.
    """

    names: ClassVar[dict[tuple[str, str], Callable]] = {
        ("numpy", "ndarray"): _empty_array,
        ("numpy", "dtype"): _Dtype,
        ("numpy", "_reconstruct"): _reconstruct,
        ("numpy", "_frombuffer"): _from_buffer,
        ("numpy", "scalar"): _scalar,
        ("scipy", "csc_matrix"): lambda *_: scipy.sparse.csc_matrix((1, 1)),
        ("scipy", "csr_matrix"): lambda *_: scipy.sparse.csr_matrix((1, 1)),
        ("chumpy", "Ch"): _empty_array,
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("_codecs", "encode"): _encode,
        ("copyreg", "_reconstructor"): _reconstruct,
        ("builtins", "bytes"): _no_bytes,
        ("builtins", "object"): object,
        ("builtins", "set"): set,
    }
    builders: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        np.ndarray: _fill_array,
        _Dtype: _set_order,
        scipy.sparse.csc_matrix: _fill_matrix,
        scipy.sparse.csr_matrix: _fill_matrix,
        collections.OrderedDict: lambda item, state: None,  # its attributes are metadata
    }
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]

    def __init__(self, stream: io.BytesIO, *, size: int) -> None:
        super().__init__(stream, encoding="latin1")
        self._room = _GROWTH * size + _SLACK

    def find_class(self, module: str, name: str) -> Callable:
        """The stand-in for a global, by its package and name: libraries move their classes from module to module."""
        package = module.partition(".")[0]
        found = self.names.get((_RENAMED.get(package, package), name))
        if found is None:
            raise Refused(ascii(f"{module}.{name}")[1:-1][:80])
        return found

    def get_extension(self, code: int) -> None:
        """Refuses names that a program may have given numbers to."""
        raise Refused("a copyreg extension")

    def pay(self, num_bytes: int) -> None:
        """Counts memory, since a short pickle can ask for the same large thing again and again."""
        self._room -= num_bytes
        if self._room < 0:
            raise Unusable("unfolds to far more than it holds: get another copy")

    def _build(self) -> None:
        state, item = self.stack.pop(), self.stack[-1]
        build = self.builders.get(type(item))
        if build is None:
            raise Refused(f"attributes of a {type(item).__name__}")
        build(item, state)
        self.pay(getattr(item, "nbytes", 0))

    def _create(self) -> None:
        arguments = self.stack.pop()
        item = self.stack[-1] = self.stack[-1](*arguments)
        self.pay(item.nbytes if isinstance(item, np.ndarray) else sys.getsizeof(item))

    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.NEWOBJ[0]] = dispatch[pickle.REDUCE[0]] = _create
