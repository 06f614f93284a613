"""One head to take pictures of: a fine mesh in the object frame, in millimetres."""

from typing import NamedTuple

import numpy as np


class Head(NamedTuple):
    """`places_mm` are the vertices' places on the family's mean head, where paint and relief are at home; `regions` and
    `parts` (per vertex) hold `jaxface.types.Region` and `Part`; `landmarks_mm` are the 478 points on this head,
    `landmark_places_mm` the same on the mean head."""

    vertices_mm: np.ndarray
    triangles: np.ndarray
    normals: np.ndarray
    places_mm: np.ndarray
    regions: np.ndarray
    parts: np.ndarray
    landmarks_mm: np.ndarray
    landmark_places_mm: np.ndarray


class Thing(NamedTuple):
    """Something in front of a face or on a head: solid triangles with linear colours (vertices, 3) in [0, 1], `gloss`
    (vertices,), 0 matt to 5 mirror-like, skin 1; `grain` is the contrast of fine texture. `glass` is a thin sheet one
    sees through, or None."""

    vertices_mm: np.ndarray
    triangles: np.ndarray
    colours: np.ndarray
    gloss: np.ndarray
    grain: float
    glass: "Glass | None" = None


class Glass(NamedTuple):
    """A thin sheet: what it lets through per channel (3,) in [0, 1]."""

    vertices_mm: np.ndarray
    triangles: np.ndarray
    tint: np.ndarray
