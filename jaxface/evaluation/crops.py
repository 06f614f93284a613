"""Which part of a scan is judged: a sphere about the nose tip, or NoW's; a cut through the forehead. Millimetres."""

import numpy as np
from jaxtyping import Bool, Float

from jaxface.evaluation.surfaces import (
    EYE_CORNERS,
    LEFT_EYE_OUTER,
    MOUTH_CORNERS,
    NOSE_BOTTOM,
    NOSE_TIP,
    RIGHT_EYE_OUTER,
    FaceSurface,
    require_landmarks,
)


def nose_tip_crop(
    surface: FaceSurface, *, radius_mm: float, name: str = "scan", mm_per_unit: float = 1.0
) -> Bool[np.ndarray, "vertices"]:
    """Vertices no farther from the nose tip (iBUG 30) than the radius; the MICC protocols take 95 mm, or 60 mm.

    `mm_per_unit` is the length of the surface's unit, where that is not the millimetre. Raises FaceError without the
    landmark.
    """
    centre_mm = require_landmarks(surface, (NOSE_TIP,), name=name, use="the crop round the nose tip")[0]
    return mm_per_unit * _distances(surface, centre_mm) <= radius_mm


def now_crop(surface: FaceSurface) -> Bool[np.ndarray, "vertices"]:
    """Vertices inside `now_sphere`: NoW's crop. Raises FaceError without its landmarks."""
    centre_mm, radius_mm = now_sphere(surface)
    return _distances(surface, centre_mm) <= radius_mm


def now_sphere(surface: FaceSurface) -> tuple[Float[np.ndarray, "3"], float]:
    """Centre and radius of NoW's crop (Sanyal et al. 2019, evaluation code), from eye corners and nose bottom.

    The centre lies 0.3 of the way from the nose bottom to the bridge, midway between the inner eye corners; the radius
    is 0.7 times the sum of that way and the distance of the outer eye corners.
    """
    use = "NoW's crop"
    right_outer, right_inner, left_inner, left_outer = require_landmarks(surface, EYE_CORNERS, name="scan", use=use)
    bottom = require_landmarks(surface, (NOSE_BOTTOM,), name="scan", use=use)[0]
    nose = (right_inner + left_inner) / 2.0 - bottom
    radius_mm = 1.4 * (np.linalg.norm(right_outer - left_outer) + np.linalg.norm(nose)) / 2.0
    return bottom + 0.3 * nose, float(radius_mm)


def below_forehead_cut(surface: FaceSurface, *, height_mm: float) -> Bool[np.ndarray, "vertices"]:
    """Vertices no higher than `height_mm` above the middle of the outer eye corners.

    Up is the way from the middle of the mouth corners to the middle of the eyes; the cut is square to it. Raises
    FaceError without those landmarks.
    """
    use = "the forehead cut"
    eyes_mm = require_landmarks(surface, (RIGHT_EYE_OUTER, LEFT_EYE_OUTER), name="scan", use=use).mean(axis=0)
    up = eyes_mm - require_landmarks(surface, MOUTH_CORNERS, name="scan", use=use).mean(axis=0)
    return (surface.vertices_mm - eyes_mm[None, :]) @ up <= height_mm * np.linalg.norm(up)


def _distances(surface: FaceSurface, centre_mm: np.ndarray) -> np.ndarray:
    return np.linalg.norm(surface.vertices_mm - centre_mm[None, :], axis=1)
