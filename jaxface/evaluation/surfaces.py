"""A face as evaluation sees it: a mesh or a cloud of points, with landmarks. Millimetres."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxface.types import FaceError

NUM_IBUG = 68
# Rows of iBUG's 68 points, from 0; right and left are the subject's.
NOSE_TIP = 30
NOSE_BOTTOM = 33
RIGHT_EYE_OUTER, RIGHT_EYE_INNER, LEFT_EYE_INNER, LEFT_EYE_OUTER = 36, 39, 42, 45
RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER = 48, 54
EYE_CORNERS = (RIGHT_EYE_OUTER, RIGHT_EYE_INNER, LEFT_EYE_INNER, LEFT_EYE_OUTER)
MOUTH_CORNERS = (RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER)
NOW_SEVEN = (*EYE_CORNERS, NOSE_BOTTOM, *MOUTH_CORNERS)  # in the order of NoW's landmark files

IBUG_NAMES = {
    NOSE_TIP: "nose tip",
    NOSE_BOTTOM: "nose bottom",
    RIGHT_EYE_OUTER: "right eye's outer corner",
    RIGHT_EYE_INNER: "right eye's inner corner",
    LEFT_EYE_INNER: "left eye's inner corner",
    LEFT_EYE_OUTER: "left eye's outer corner",
    RIGHT_MOUTH_CORNER: "right mouth corner",
    LEFT_MOUTH_CORNER: "left mouth corner",
}


class FaceSurface(NamedTuple):
    """`triangles` may be empty: a cloud of points. Landmarks in iBUG's order; NaN where unknown."""

    vertices_mm: Float[np.ndarray, "vertices 3"]
    triangles: Int[np.ndarray, "faces 3"]
    landmarks_mm: Float[np.ndarray, "68 3"]


def check_surface(surface: FaceSurface, *, name: str, needs_triangles: bool) -> FaceSurface:
    """The same in float64; FaceError, calling it `name`, where it cannot be judged."""
    vertices_mm, landmarks_mm = (np.asarray(x, np.float64) for x in (surface.vertices_mm, surface.landmarks_mm))
    triangles = np.asarray(surface.triangles)
    if len(vertices_mm) == 0:
        raise FaceError(f"The {name} has no vertices; give a mesh of a face.")
    broken = int(np.sum(~np.isfinite(vertices_mm).all(axis=1)))
    if broken:
        raise FaceError(f"The {name} has {broken} vertices that are not finite numbers; remove them first.")
    if vertices_mm.ndim != 2 or vertices_mm.shape[1] != 3 or (triangles.size and triangles.shape[1:] != (3,)):
        shapes = f"{vertices_mm.shape} and {triangles.shape}"
        raise FaceError(f"The {name} needs vertices and triangles of shapes (v, 3) and (f, 3), not {shapes}.")
    if landmarks_mm.shape != (NUM_IBUG, 3):
        raise FaceError(f"The {name} needs landmarks of shape (68, 3), not {landmarks_mm.shape}; NaN where unknown.")
    if np.isinf(landmarks_mm).any():
        raise FaceError(f"The {name} has an infinite landmark; write NaN where one is unknown.")
    if triangles.size and not (0 <= triangles.min() and triangles.max() < len(vertices_mm)):
        raise FaceError(f"The {name} has triangles with vertices that it lacks; repair the file.")
    if needs_triangles and not triangles.size:
        raise FaceError(f"The {name} has no triangles, but distances to its surface are asked for; give a mesh.")
    return FaceSurface(vertices_mm, triangles.reshape(-1, 3), landmarks_mm)


def known_landmarks(surface: FaceSurface) -> np.ndarray:
    """Which of the 68 are known, bool."""
    return np.isfinite(surface.landmarks_mm).all(axis=1)


def require_landmarks(surface: FaceSurface, rows: tuple[int, ...], *, name: str, use: str) -> np.ndarray:
    """Those landmarks [rows, 3]; FaceError where one is unknown, saying which and what for."""
    known = known_landmarks(surface)
    missing = [f"{IBUG_NAMES.get(row, 'point')} (iBUG {row})" for row in rows if not known[row]]
    if missing:
        raise FaceError(f"The {name} lacks the landmark {missing[0]}, which {use} needs; add it.")
    return surface.landmarks_mm[list(rows)]
