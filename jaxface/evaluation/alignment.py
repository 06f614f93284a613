"""Similarity alignment of a surface to points: in closed form, and by trimmed ICP. NumPy float64, deterministic.

Any length unit; results are in the unit of the points that stay fixed.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxface.geometry.closest import closest_points, make_surface


class Similarity(NamedTuple):
    """x -> scale * rotation @ x + translation."""

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, "3"]


class Alignment(NamedTuple):
    """What was done to the surface, and the distance of each point from it then."""

    similarity: Similarity
    distances: Float[np.ndarray, "points"]
    num_iterations: int


def transform(points: Float[np.ndarray, "points 3"], *, similarity: Similarity) -> Float[np.ndarray, "points 3"]:
    """Moves rows by the similarity."""
    return similarity.scale * points @ similarity.rotation.T + similarity.translation[None, :]


def invert(similarity: Similarity) -> Similarity:
    """The similarity that undoes it."""
    back = similarity.rotation.T / similarity.scale
    return Similarity(1.0 / similarity.scale, similarity.rotation.T, -back @ similarity.translation)


def procrustes(source: Float[np.ndarray, "points 3"], target: Float[np.ndarray, "points 3"]) -> Similarity:
    """The similarity that takes `source` nearest to `target` in least squares, Umeyama (1991) Eqs. 40 to 42.

    Raises ValueError for fewer than three points.
    """
    if len(source) < 3:
        raise ValueError(f"A similarity needs at least 3 pairs of points, not {len(source)}.")
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = source - source_mean[None, :], target - target_mean[None, :]
    u, singular, vt = np.linalg.svd(b.T.astype(np.float64) @ a)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])  # a rotation, never a reflection
    rotation = (u * signs[None, :]) @ vt
    scale = float(np.sum(singular * signs) / np.sum(a * a))
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean)


def align_surface(
    points: Float[np.ndarray, "points 3"],
    vertices: Float[np.ndarray, "vertices 3"],
    triangles: Int[np.ndarray, "faces 3"],
    *,
    start: Similarity | None = None,
    kept: float = 0.9,
    num_iterations: int = 200,
    tolerance: float = 1e-5,
) -> Alignment:
    """Similarity ICP (Besl and McKay 1992, with scale) of a surface to points that stay where they are.

    Each round pairs every point with the nearest place on the surface, drops the farthest `1 - kept` of the pairs and
    solves for the similarity; it ends when the rms distance of the kept pairs falls by less than the share `tolerance`.
    The distances returned are those of all points, dropped or not.
    """
    surface = make_surface(vertices, triangles)
    similarity = start or Similarity(1.0, np.eye(3), points.mean(axis=0) - surface.vertices.mean(axis=0))
    points, before = points.astype(np.float64), np.inf
    for iteration in range(num_iterations + 1):
        places, _ = closest_points(transform(points, similarity=invert(similarity)), surface=surface)
        distances = np.linalg.norm(transform(places, similarity=similarity) - points, axis=1)
        near = np.argsort(distances, kind="stable")[: max(3, round(kept * len(points)))]
        rms = float(np.sqrt(np.mean(distances[near] ** 2)))
        if iteration == num_iterations or before - rms <= tolerance * rms:
            break
        similarity, before = procrustes(places[near], points[near]), rms
    return Alignment(similarity, distances, iteration)
