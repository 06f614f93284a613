"""PyTorch checkpoints as numpy arrays, without PyTorch and without trusting them (host side)."""

import functools
import io
import math
import os
import zipfile
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxface.io.pickles import SafeUnpickler, Unusable, guard, read_bytes

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_NOT_ONE = "holds no state_dict: save the network's state_dict() with torch.save"
_DTYPES = {
    "Double": "<f8",
    "Float": "<f4",
    "Half": "<f2",
    "BFloat16": jnp.bfloat16,
    "Long": "<i8",
    "Int": "<i4",
    "Short": "<i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "?",
}


def load_checkpoint(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The tensors of a state_dict by name, as `torch.save` writes it, in today's zip files or those before version 1.6.

    A state_dict that lies in a dict under `state_dict` is taken out of it. Arrays keep their type (bfloat16 becomes
    float32) and may be read-only views that share memory. Raises FaceError for a file that is missing, damaged or
    holds something else than tensors; no code that a file names is run.
    """
    data = read_bytes(path)
    load = _load_zip if data.startswith(b"PK\x03\x04") else _load_legacy
    return guard(lambda: _state_dict(load(data)), path)


def _state_dict(checkpoint: Any) -> dict[str, np.ndarray]:
    if isinstance(checkpoint, dict) and "state_dict" in checkpoint:
        checkpoint = checkpoint["state_dict"]
    if not isinstance(checkpoint, dict) or not checkpoint:
        raise Unusable(_NOT_ONE)
    for name, value in checkpoint.items():
        if not (isinstance(name, str) and type(value) is np.ndarray):
            raise Unusable(f"holds {ascii(name)[:80]}, which is not a tensor: save the network's state_dict() alone")
    return dict(checkpoint)


class _Storage:
    """A flat run of numbers that tensors show parts of; the numbers stand elsewhere in the file and come later."""

    def __init__(self, dtype: np.dtype, count: int) -> None:
        self.dtype = dtype
        self.numbers = np.zeros(count, np.float32 if dtype == jnp.bfloat16 else dtype.newbyteorder("="))

    def fill(self, data: bytes) -> None:
        """Takes the bytes of the numbers, which must be exactly as many as announced."""
        numbers = np.frombuffer(data, self.dtype)
        if len(numbers) != len(self.numbers):
            raise Unusable("is cut short: get a complete copy")
        self.numbers[:] = numbers


def _tensor(storage: _Storage, offset: int, size: tuple, stride: tuple, *_: Any) -> np.ndarray:
    """A strided view of a storage, offset and strides in elements."""
    numbers, size, stride = storage.numbers, tuple(size), tuple(stride)
    if not all(type(number) is int and number >= 0 for number in (offset, *size, *stride)):
        raise Unusable("holds a tensor of impossible shape")
    if math.prod(size) == 0:
        return np.zeros(size, numbers.dtype)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if last >= len(numbers) or math.prod(size) > len(numbers):
        raise Unusable("holds a tensor that reaches beyond its numbers")
    strides = tuple(step * numbers.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(numbers[offset:], size, strides, writeable=False)


def _parameter(tensor: np.ndarray, *_: Any) -> np.ndarray:
    """torch.nn.Parameter, a tensor that is trained."""
    return tensor


class _TorchUnpickler(SafeUnpickler):
    """Notes the storages that a pickle refers to by key, in `storages`."""

    names = {
        **SafeUnpickler.names,
        ("torch", "_rebuild_tensor_v2"): _tensor,
        ("torch", "_rebuild_parameter"): _parameter,
        **{("torch", f"{kind}Storage"): functools.partial(_Storage, np.dtype(d)) for kind, d in _DTYPES.items()},
    }

    def __init__(self, stream: io.BytesIO, *, size: int) -> None:
        super().__init__(stream, size=size)
        self.storages: dict[str, _Storage] = {}

    def persistent_load(self, pid: tuple) -> _Storage:
        """('storage', class, key, location, count) and, in old files, what part of another storage it is."""
        kind, make, key, _, count, *view = pid
        if kind != "storage" or any(part is not None for part in view):
            raise Unusable(_NOT_ONE)
        if key not in self.storages:
            self.pay(count)
            self.storages[key] = make(count)
        return self.storages[key]


def _load_legacy(data: bytes) -> Any:
    """Pickles in a row: magic number, protocol, system, object, keys; then count and numbers of every key."""
    stream = io.BytesIO(data)

    def read() -> Any:
        return SafeUnpickler(stream, size=len(data)).load()

    if read() != _MAGIC or read() != _PROTOCOL:
        raise Unusable("is not a PyTorch checkpoint")
    read()
    unpickler = _TorchUnpickler(stream, size=len(data))
    checkpoint, keys = unpickler.load(), read()
    if set(keys) != set(unpickler.storages):
        raise Unusable("is cut short: get a complete copy")
    for key in keys:
        storage = unpickler.storages[key]
        count = int.from_bytes(stream.read(8), "little")
        storage.fill(stream.read(min(count, len(data)) * storage.dtype.itemsize))
    return checkpoint


def _load_zip(data: bytes) -> Any:
    """`<name>/data.pkl`, and the numbers of each key in `<name>/data/<key>`; torch does not compress."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        tops = [name.partition("/")[0] for name in archive.namelist() if name.count("/") == 1]
        top = next((top for top in tops if f"{top}/data.pkl" in archive.namelist()), None)
        if top is None:
            raise Unusable("is a zip file, but not one that torch.save writes")
        if f"{top}/byteorder" in archive.namelist() and _member(archive, f"{top}/byteorder") != b"little":
            raise Unusable("was written on a big-endian machine: save it again on another")
        unpickler = _TorchUnpickler(io.BytesIO(_member(archive, f"{top}/data.pkl")), size=len(data))
        checkpoint = unpickler.load()
        for key, storage in unpickler.storages.items():
            storage.fill(_member(archive, f"{top}/data/{key}"))
    return checkpoint


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:  # what is stored cannot outgrow the file
        raise Unusable("is compressed, as torch.save never does: zip its content without compression")
    return archive.read(name)
