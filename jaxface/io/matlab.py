"""MATLAB 5 to 7.2 `.mat` files: real arrays and structures of them, in plain Python (host side).

SciPy's own reader is compiled code that a damaged file can bring down, and the whole process with it.
Layout: MathWorks, "MAT-File Format", Level 5.
"""

import os
import struct
import zlib

import numpy as np

from jaxface.types import FaceError

MAX_BYTES = 4 << 30  # of all variables once they are unpacked; the largest face model has 0.5 GB
_HEADER, _MATRIX, _COMPRESSED = 128, 14, 15
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MEANT = dict(enumerate(("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"), start=6))
_STRUCT, _COMPLEX = 2, 0x0800
_MAX_AXES, _MAX_DEPTH = 8, 4


def parse_matlab(data: bytes, *, path: str | os.PathLike) -> dict[str, np.ndarray | dict]:
    """The variables in the content of a .mat file by name; a structure becomes a dictionary of its fields.

    What is neither a real array nor a single structure (text, cells, sparse or complex arrays) is left out. Raises
    FaceError, with the `path` that the content came from, for damaged files and those of other versions.
    """
    try:
        order = {b"IM": "<", b"MI": ">"}.get(data[_HEADER - 2 : _HEADER])
        if order is None or data[:10] == b"MATLAB 7.3":
            raise ValueError("other versions must be saved again in MATLAB with the option -v7")
        return _variables(memoryview(data)[_HEADER:], order)
    except (ValueError, KeyError, TypeError, OverflowError, struct.error, zlib.error, MemoryError) as error:
        raise FaceError(f"{path}: it is not a complete MATLAB 5 file ({error}); get a fresh copy.") from error


def _variables(view, order):
    found: dict[str, np.ndarray | dict] = {}
    start, budget = 0, MAX_BYTES
    while start < len(view):
        kind, content, start = _element(view, start, order)
        if kind == _COMPRESSED:
            unpacked = _unpacked(content, budget)
            budget -= len(unpacked)
            kind, content, _ = _element(unpacked, 0, order)
        if kind == _MATRIX:
            name, value = _matrix(content, order, depth=0)
            found |= {} if value is None else {name: value}
    return found


def _unpacked(content, budget):
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(content, budget + 1)
    if len(unpacked) > budget:
        raise ValueError("it is larger than a face model")
    if not unpacker.eof:
        raise ValueError("a variable is cut short")
    return memoryview(unpacked)


def _element(view, start, order):
    """Type and content of the element at `start`, and where the next one is."""
    kind, size = struct.unpack_from(order + "II", view, start)
    if kind >> 16:  # short form: type and size share four bytes, the content has the other four
        kind, size, begin, after = kind & 0xFFFF, kind >> 16, start + 4, start + 8
        if size > 4:
            raise ValueError("a short element is too long")
    else:
        begin = start + 8
        after = begin + size + (0 if kind == _COMPRESSED else -size % 8)
    if begin + size > len(view):
        raise ValueError("an element is cut short")
    return kind, view[begin : begin + size], after


def _matrix(content, order, *, depth):
    """Name and value; None for what is not read."""
    if not len(content):
        return "", None
    _, flags, start = _element(content, 0, order)
    (flags,) = struct.unpack_from(order + "I", flags)
    _, sizes, start = _element(content, start, order)
    _, name, start = _element(content, start, order)
    name, kind = bytes(name).decode("latin1"), flags & 0xFF
    shape = np.frombuffer(sizes, order + "i4").tolist()
    if kind == _STRUCT and shape == [1, 1] and depth < _MAX_DEPTH:
        return name, _fields(content, start, order, depth=depth)
    if kind not in _MEANT or flags & _COMPLEX:
        return name, None
    if not 2 <= len(shape) <= _MAX_AXES or min(shape) < 0:
        raise ValueError("an array has a size that is none")
    stored, numbers, _ = _element(content, start, order)
    array = np.frombuffer(numbers, order + _STORED[stored]).reshape(shape, order="F")
    with np.errstate(all="ignore"):
        return name, array.astype(_MEANT[kind])


def _fields(content, start, order, *, depth):
    _, length, start = _element(content, start, order)
    (length,) = struct.unpack_from(order + "i", length)
    _, labels, start = _element(content, start, order)
    if length < 1:
        raise ValueError("the fields of a structure have no names")
    found: dict[str, np.ndarray | dict] = {}
    for place in range(0, len(labels), length):
        label = bytes(labels[place : place + length]).partition(b"\0")[0].decode("latin1")
        _, member, start = _element(content, start, order)
        _, value = _matrix(member, order, depth=depth + 1)
        found |= {} if value is None else {label: value}
    return found
