"""Landmarks from files: `.npy` arrays, iBUG `.pts` and Face++ `.json` (host side)."""

import os
import pathlib
import tokenize
import warnings

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxface.detection.facepp import read_facepp
from jaxface.detection.indices import NUM_SURFACE
from jaxface.types import IBUG_68, NUM_LANDMARKS, FaceError, Landmarks

_SHAPES = ((NUM_LANDMARKS, 2), (NUM_LANDMARKS, 3), (NUM_SURFACE, 2), (NUM_SURFACE, 3), (68, 2))
_LARGEST_PX = 1e6

# What numpy.load raises on damaged heads, apart from ValueError and OSError.
_BROKEN = (EOFError, MemoryError, OverflowError, SyntaxError, TypeError, tokenize.TokenError)


def read_landmarks(path: str | os.PathLike) -> Landmarks:
    """Landmarks of one face in pixels, with pixel centres at integers, and their height toward the viewer if given.

    `.npy`: 478 or 468 MediaPipe points (x, y) or (x, y, height), or 68 iBUG points (x, y); counted from 0.
    `.pts`: 68 iBUG points; counted from 1, as the format has it. `.json`: a saved answer of Face++ thousandlandmark.
    Points that the file lacks get confidence 0.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FaceError(f"There is no landmark file {path}: give the path of a .npy, .pts or .json file.")
    if path.suffix.lower() not in _READERS:
        raise FaceError(
            f"Landmark file {path} must end in .npy (MediaPipe or iBUG points), .pts (iBUG points) or .json (Face++)."
        )
    return _READERS[path.suffix.lower()](path)


def in_mesh_order(points: Float[np.ndarray, "points axes"]) -> Landmarks:
    """478, 468 or 68 points as `Landmarks`; heights that are not given are 0."""
    places = np.array(IBUG_68) if len(points) == 68 else np.arange(len(points))
    full = np.zeros((NUM_LANDMARKS, 4), np.float32)
    full[places, : points.shape[1]] = points
    full[places, 3] = 1.0
    return Landmarks(*(jnp.asarray(part) for part in (full[:, :2], full[:, 2], full[:, 3])))


def _checked(points: np.ndarray, path: pathlib.Path) -> Landmarks:
    if points.shape not in _SHAPES:
        expected = ", ".join(f"{rows} x {columns}" for rows, columns in _SHAPES)
        raise FaceError(f"Landmark file {path} holds an array of shape {points.shape}; it must be {expected}.")
    if not np.all(np.abs(points) < _LARGEST_PX):  # nor is NaN
        raise FaceError(
            f"Landmark file {path} holds values that are not finite pixels: leave no NaN or infinity in it."
        )
    return in_mesh_order(points)


def _read_npy(path: pathlib.Path) -> Landmarks:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # files of Python 2
            points = np.load(path, allow_pickle=False)
    except (ValueError, OSError, *_BROKEN) as error:
        raise FaceError(f"{path} is not a plain numeric .npy array: save it with numpy.save, no objects.") from error
    if not isinstance(points, np.ndarray) or points.dtype.kind not in "fiu":
        raise FaceError(f"{path} must hold one array of real numbers: save the points alone with numpy.save.")
    with np.errstate(all="ignore"):  # What overflows is refused next.
        points = points.astype(np.float64)
    return _checked(points, path)


def _read_pts(path: pathlib.Path) -> Landmarks:
    """Between braces, one `x y` a line, counted from 1."""
    try:
        text = path.read_text(encoding="utf-8")
        body = text[text.index("{") + 1 : text.index("}")]
        rows = [[float(number) for number in line.split()] for line in body.splitlines() if line.strip()]
        points = np.array(rows, np.float64) - 1.0
    except ValueError as error:  # also undecodable text, missing braces and rows of unequal length
        raise FaceError(f"{path} is not an iBUG .pts file: between braces, one `x y` a line is expected.") from error
    return _checked(points, path)


# One line for each kind of file.
_READERS = {
    ".npy": _read_npy,
    ".pts": _read_pts,
    ".json": read_facepp,
}
