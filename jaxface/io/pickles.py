"""Pickles of plain arrays, read without trusting them: nothing that a file names is imported or called (host side).

Every global a pickle may ask for maps to a small class or function of this module that only keeps what the file says;
arrays are made afterwards, as views of the file's own bytes, so that no file grows in memory by repeating itself.
"""

import collections
import io
import os
import pathlib
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse

from jaxface.types import FaceError

MAX_BYTES = 4 << 30  # the largest published face models are a tenth of it
_PLAIN_KINDS = re.compile(r"[biufcSU]\d+|O8?")  # dtype codes without fields
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # Python 2's names
_ATOMS = (str, bytes, bytearray, int, float, complex, bool, type(None), np.generic)


class Refused(ValueError):
    """A pickle that asks for something data does not need; the text is that thing's name."""


class Unusable(ValueError):
    """Data of a kind that is not read, or that contradicts itself; the text is the end of a sentence that says so."""


class Shell:
    """An object of a pickle between its creation and the moment when all its parts are known."""

    def __init__(self) -> None:
        self.state: Any = None

    def build(self, state: Any) -> None:
        """Takes what the pickle says about the object's attributes."""
        self.state = state

    def reveal(self, resolve: Callable[[Any], Any]) -> Any:
        """The finished object; `resolve` finishes its parts."""
        raise NotImplementedError


def load_pickle(path: str | os.PathLike) -> object:
    """What a pickle holds: containers, numbers, strings, numpy arrays (perhaps read-only) and scipy.sparse matrices.

    Pickles of any protocol and of Python 2 (strings as latin1) are read, from any age of numpy and scipy; a chumpy
    array becomes the numpy array in it. Raises FaceError for a file that is missing or damaged, and, by name, for one
    that asks for anything else: no code that a file names is run.
    """
    data = read_bytes(path)
    return guard(lambda: resolve_shells(SafeUnpickler(io.BytesIO(data)).load()), path)


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


def resolve_shells(root: Any) -> Any:
    """`root` with every shell in it replaced by what it stands for; an object that is shared stays shared."""
    known: dict[int, tuple[Any, Any]] = {}  # the originals too, lest their ids be used again
    pending = object()

    def resolve(item: Any) -> Any:
        if isinstance(item, _ATOMS) or type(item) is np.ndarray:
            return item
        if id(item) not in known:
            known[id(item)] = (item, item if type(item) in (list, dict, collections.OrderedDict) else pending)
            known[id(item)] = (item, _finish(item, resolve))
        if (result := known[id(item)][1]) is pending:
            raise Unusable("holds an object that contains itself")
        return result

    return resolve(root)


def _finish(item: Any, resolve: Callable[[Any], Any]) -> Any:
    if isinstance(item, Shell):
        return item.reveal(resolve)
    if type(item) is list:
        item[:] = [resolve(part) for part in item]
        return item
    if type(item) in (dict, collections.OrderedDict):
        pairs = [(resolve(key), resolve(value)) for key, value in item.items()]
        item.clear()
        item.update(pairs)
        return item
    if type(item) in (tuple, set, frozenset):
        return type(item)(resolve(part) for part in item)
    raise Refused(f"a {type(item).__name__}")


class _Dtype(Shell):
    """numpy.dtype; the state brings the byte order."""

    def __init__(self, code: str, *_flags: bool) -> None:
        if not _PLAIN_KINDS.fullmatch(code):
            raise Unusable(f"holds an array of type {code!r}, but only plain numbers and strings are read")
        self.dtype = np.dtype(code)

    def build(self, state: tuple) -> None:
        _, order, subarray, names, fields = state[:5]
        if not (subarray is names is fields is None):
            raise Unusable("holds an array of records, but only plain numbers and strings are read")
        self.dtype = self.dtype.newbyteorder(order)

    def reveal(self, resolve: Callable[[Any], Any]) -> np.dtype:
        return self.dtype


class _Array(Shell):
    """numpy.ndarray: (version,) shape, dtype, is Fortran, data."""

    def reveal(self, resolve: Callable[[Any], Any]) -> np.ndarray:
        shape, dtype, is_fortran, data = self.state[-4:]
        if dtype.dtype == object:
            array = np.empty(len(data), object)
            for place, part in enumerate(data):
                array[place] = resolve(part)
        else:
            array = _array(data, dtype)
        return array.reshape(_lengths(shape), order="F" if is_fortran else "C")


class _Chumpy(Shell):
    """chumpy.ch.Ch, an array with a history of computations, which is dropped."""

    def reveal(self, resolve: Callable[[Any], Any]) -> np.ndarray:
        return resolve(self.state["x"])


class _Coo(Shell):
    """A scipy.sparse matrix."""

    make = staticmethod(scipy.sparse.coo_matrix)

    def reveal(self, resolve: Callable[[Any], Any]) -> Any:
        state = resolve(self.state)
        data, shape = state["data"], _lengths(state["_shape"] if "_shape" in state else state["shape"])
        is_compressed = "indptr" in state
        if is_compressed:
            places = (state["indices"], state["indptr"])
        else:
            places = tuple(state["coords"]) if "coords" in state else (state["row"], state["col"])
        if data.dtype.kind not in "biuf" or any(array.dtype.kind not in "iu" for array in places):
            raise Unusable("holds a sparse matrix that is not of numbers")
        matrix = self.make((data, *places) if is_compressed else (data, places), shape=shape)
        if is_compressed:  # else scipy trusts the indices, and its products read beside the arrays
            matrix.check_format(full_check=True)
        return matrix


class _Csc(_Coo):
    make = staticmethod(scipy.sparse.csc_matrix)


class _Csr(_Coo):
    make = staticmethod(scipy.sparse.csr_matrix)


def _lengths(shape: Any) -> tuple[int, ...]:
    """A shape as the file has it; numpy would take -1 for a question."""
    if not all(type(length) is int and length >= 0 for length in shape):
        raise Unusable("holds an array whose shape is no shape")
    return tuple(shape)


def _array(data: bytes | bytearray | str, dtype: _Dtype) -> np.ndarray:
    """A flat array over the bytes, in the machine's byte order."""
    stored = np.frombuffer(_encode(data) if isinstance(data, str) else data, dtype.dtype)
    return stored.astype(dtype.dtype.newbyteorder("="), copy=False)


def _scalar(dtype: _Dtype, data: bytes | str) -> np.generic:
    return _array(data, dtype).reshape(1)[0]


def _from_buffer(
    data: bytes | bytearray, dtype: _Dtype, shape: tuple, order: str, axes: tuple | None = None
) -> np.ndarray:
    """What numpy has pickled with protocol 5; `axes` go with order K."""
    if axes is None:
        return _array(data, dtype).reshape(_lengths(shape), order=order)
    return _array(data, dtype).reshape(_lengths(shape)).transpose(axes)


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
    """Reads one pickle into containers, atoms and shells; Python-2 strings are taken as latin1.

    Based on pickle's version in Python, where opcodes can be replaced, and where a large memo index takes no memory.
    """

    names = {
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("numpy", "_reconstruct"): _reconstruct,
        ("numpy", "_frombuffer"): _from_buffer,
        ("numpy", "scalar"): _scalar,
        ("scipy", "coo_array"): _Coo,
        ("scipy", "coo_matrix"): _Coo,
        ("scipy", "csc_array"): _Csc,
        ("scipy", "csc_matrix"): _Csc,
        ("scipy", "csr_array"): _Csr,
        ("scipy", "csr_matrix"): _Csr,
        ("chumpy", "Ch"): _Chumpy,
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("_codecs", "encode"): _encode,
        ("copyreg", "_reconstructor"): _reconstruct,
        ("builtins", "bytes"): _no_bytes,
        ("builtins", "frozenset"): frozenset,
        ("builtins", "object"): object,
        ("builtins", "set"): set,
    }
    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, encoding="latin1")

    def find_class(self, module: str, name: str) -> Callable:
        """The stand-in for a global, by its package and name: libraries move their classes from module to module."""
        package = module.partition(".")[0]
        found = self.names.get((_RENAMED.get(package, package), name))
        if found is None:
            raise Refused(ascii(f"{module}.{name}")[1:-1][:80])
        return found

    def _build(self) -> None:
        state, item = self.stack.pop(), self.stack[-1]
        if isinstance(item, Shell):
            item.build(state)
        elif type(item) is not collections.OrderedDict:  # whose attributes are metadata
            raise Refused(f"attributes of a {type(item).__name__}")

    def _create(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self.stack[-1](*arguments)

    def _refuse(self) -> None:
        raise Refused("a copyreg extension")

    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.NEWOBJ[0]] = dispatch[pickle.REDUCE[0]] = _create
    dispatch |= dict.fromkeys((pickle.EXT1[0], pickle.EXT2[0], pickle.EXT4[0]), _refuse)
