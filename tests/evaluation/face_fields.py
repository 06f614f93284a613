"""Meshes that the tests of evaluation share: height fields, and one with landmarks that stands for a face."""

import numpy as np

from jaxface.evaluation.surfaces import EYE_CORNERS, MOUTH_CORNERS, NOSE_BOTTOM, NOSE_TIP, FaceSurface

PLACES_MM = {NOSE_TIP: (0, 0), NOSE_BOTTOM: (0, -12)}
PLACES_MM |= dict(zip(EYE_CORNERS, [(-45, 40), (-16, 38), (16, 38), (45, 40)], strict=True))
PLACES_MM |= dict(zip(MOUTH_CORNERS, [(-25, -30), (25, -30)], strict=True))


def rotation(axis, angle):
    """Rodrigues' formula."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross


def height_field(height, *, side=41, step=2.0):
    """Grid mesh of z = height(x, y), about the origin."""
    axis = (np.arange(side) - (side - 1) / 2) * step
    x, y = (grid.ravel() for grid in np.meshgrid(axis, axis, indexing="ij"))
    rows = np.arange(side * side).reshape(side, side)
    a, b, c, d = (part.ravel() for part in (rows[:-1, :-1], rows[1:, :-1], rows[1:, 1:], rows[:-1, 1:]))
    return np.stack([x, y, height(x, y)], axis=1), np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def hills(x, y):
    return 12.0 * np.cos(x / 15.0) * np.cos(y / 22.0) + 3.0 * np.sin(x / 9.0 + y / 13.0)


def face_height(x, y):
    """Half an egg with a nose, brows and a chin, in mm."""
    egg = 80.0 * np.sqrt(np.maximum(1.0 - (x / 105.0) ** 2 - (y / 130.0) ** 2, 0.02))
    nose = 18.0 * np.exp(-((x / 11.0) ** 2) - ((y + 2.0) / 16.0) ** 2)
    brows = 5.0 * np.exp(-(((np.abs(x) - 30.0) / 18.0) ** 2) - ((y - 52.0) / 8.0) ** 2)
    return egg + nose + brows + 6.0 * np.exp(-((x / 20.0) ** 2) - ((y + 62.0) / 12.0) ** 2)


def face(*, side=61, step=3.0, height=face_height) -> FaceSurface:
    """The height field with the landmarks that protocols use, exactly on it."""
    vertices_mm, triangles = height_field(height, side=side, step=step)
    landmarks_mm = np.full((68, 3), np.nan)
    for row, (x, y) in PLACES_MM.items():
        landmarks_mm[row] = x, y, height(np.float64(x), np.float64(y))
    return FaceSurface(vertices_mm, triangles, landmarks_mm)
