"""Named arrays of a model file, looked up one by one and checked: present, numeric, of the right shape, finite."""

import os
import pathlib
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from jaxface.types import FaceError


def numbers(
    fields: Mapping[str, object], key: str, *, path: str | os.PathLike, shape: tuple[int | None, ...]
) -> Float[np.ndarray, "..."]:
    """The array under `key` as float32; `shape` has None where any length will do.

    Where `shape` has one axis, rows and columns are taken too, as MATLAB knows no vectors. Raises FaceError.
    """
    array = _numeric(fields, key, path=path)
    if len(shape) == 1 and array.size == max(array.shape, default=1):
        array = array.reshape(-1)
    fits = array.ndim == len(shape) and all(
        n > 0 and want in (None, n) for n, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        expected = " x ".join("n" if want is None else str(want) for want in shape)
        raise FaceError(f"{path}: {key} has shape {_said(array)}, expected {expected}; is this the right file?")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise FaceError(f"{path}: {key} holds numbers that are not finite; get a complete copy of the file.")
    return array


def indices(
    fields: Mapping[str, object], key: str, *, path: str | os.PathLike, count: int, first: int = 0
) -> Int[np.ndarray, "..."]:
    """The array under `key` as indices into `count` things, from 0; the file counts from `first`. Raises FaceError."""
    array = _numeric(fields, key, path=path)
    whole = array.size > 0 and np.isfinite(array).all() and (array == np.floor(array)).all()
    if not whole or array.min() < first or array.max() >= count + first:
        raise FaceError(f"{path}: {key} must hold whole numbers from {first} to {count + first - 1}; check the file.")
    return (array.astype(np.int64) - first).astype(np.int32)


def triangles(
    fields: Mapping[str, object], key: str, *, path: str | os.PathLike, count: int, first: int = 0, flip: bool = False
) -> Int[np.ndarray, "faces 3"]:
    """Triangles under `key`, stored in rows or in columns, as vertex indices from 0; `flip` turns them over."""
    corners = indices(fields, key, path=path, count=count, first=first)
    if corners.ndim != 2 or 3 not in corners.shape:
        raise FaceError(f"{path}: {key} has shape {_said(corners)}, expected triangles, n x 3 or 3 x n.")
    corners = corners if corners.shape[1] == 3 else corners.T
    return np.ascontiguousarray(corners[:, [0, 2, 1]] if flip else corners)


def scaled_basis(
    components: Float[np.ndarray, "coordinates components"], scale: Float[np.ndarray, "components"]
) -> Float[np.ndarray, "components vertices 3"]:
    """Components in columns, xyz of one vertex after the other, times one number each: a stack of displacements."""
    return np.ascontiguousarray((components * scale[None]).T).reshape(len(scale), -1, 3)


def existing_file(path: str | os.PathLike, *, title: str) -> pathlib.Path:
    """The path of a file that is there and is no folder; `title` says what to give. Raises FaceError."""
    path = pathlib.Path(path)
    if path.is_dir():
        raise FaceError(f"{path}: this is a folder; give {title} itself.")
    if not path.is_file():
        raise FaceError(f"{path}: it does not exist; give the path of {title}.")
    return path


def _numeric(fields, key, *, path):
    if key not in fields:
        raise FaceError(f"{path}: {key} is missing; is this the right file, and complete?")
    array = fields[key]
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise FaceError(f"{path}: {key} must be an array of real numbers; get a fresh copy of the file.")
    return array


def _said(array):
    return " x ".join(str(n) for n in array.shape) or "()"
