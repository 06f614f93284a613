"""Landmarks of a mesh in a file: those of another file, else of the face model it is made of, else as detected."""

import os
import pathlib

import numpy as np
from jaxtyping import Float, Int

from jaxface.io.surfaces import LANDMARK_SUFFIXES, read_points, to_ibug, unit_mm
from jaxface.models.result_landmarks import result_landmarks
from jaxface.models.scan_landmarks import find_landmarks
from jaxface.types import Detector, FaceError

DETECTED = "MediaPipe on pictures of the mesh"


def mesh_landmarks(
    path: str | os.PathLike,
    vertices_mm: Float[np.ndarray, "vertices 3"],
    triangles: Int[np.ndarray, "faces 3"],
    *,
    given: str | os.PathLike | None = None,
    unit: str | None = None,
    detect: Detector,
) -> tuple[Float[np.ndarray, "68 3"], str]:
    """iBUG's points (mm, NaN where unknown) of the mesh read from `path`, and in words where they are from.

    `given`: a file of landmarks in `unit`, that of the mesh; else one of the mesh's name beside it, else the face model
    that made the mesh, else what `detect` finds on pictures of it. Raises FaceError.
    """
    file = given or _companion(path)
    if file is not None:
        points = read_points(file)
        try:
            return unit_mm(path, unit=unit) * to_ibug(points), str(file)
        except FaceError as error:
            raise FaceError(f"{file}: {error}") from None
    known = result_landmarks(path, vertices_mm, triangles)
    if known is not None:
        return known[0], f"the face model {known[1]}"
    try:
        return find_landmarks(vertices_mm, triangles, detect=detect), DETECTED
    except FaceError as error:
        raise FaceError(f"{path}: {error}") from None


def _companion(path: str | os.PathLike) -> pathlib.Path | None:
    """The landmark file of the same name beside a mesh, if there is one."""
    candidates = (pathlib.Path(path).with_suffix(suffix) for suffix in LANDMARK_SUFFIXES)
    return next((file for file in candidates if file.is_file()), None)
