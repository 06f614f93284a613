"""Similarity alignment of a surface to points: in closed form, and by trimmed ICP. NumPy float64, deterministic.

Any length unit; results are in the unit of the points that stay fixed.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree


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


class Surface(NamedTuple):
    """A triangle mesh made ready for `closest_points`; `faces_of_vertex` is padded by repeating a face."""

    vertices: Float[np.ndarray, "vertices 3"]
    triangles: Int[np.ndarray, "faces 3"]
    faces_of_vertex: Int[np.ndarray, "vertices valence"]
    tree: cKDTree


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


def make_surface(vertices: Float[np.ndarray, "vertices 3"], triangles: Int[np.ndarray, "faces 3"]) -> Surface:
    """Prepares the search; vertices that no triangle uses are left out of it."""
    used, corners = np.unique(triangles, return_inverse=True)
    triangles = corners.reshape(-1, 3)
    order = np.argsort(triangles.reshape(-1), kind="stable")
    vertex, face = triangles.reshape(-1)[order], order // 3
    counts = np.bincount(vertex, minlength=len(used))
    starts = np.cumsum(counts) - counts
    slots = np.minimum(np.arange(counts.max())[None, :], counts[:, None] - 1)
    vertices = vertices[used].astype(np.float64)
    return Surface(vertices, triangles, face[starts[:, None] + slots], cKDTree(vertices))


def closest_points(points: Float[np.ndarray, "points 3"], *, surface: Surface) -> Float[np.ndarray, "points 3"]:
    """The nearest place on the triangles around the nearest vertex, for each point.

    That is the nearest place on the surface unless a triangle without that vertex is nearer, as in very uneven meshes.
    """
    _, nearest = surface.tree.query(points)
    corners = surface.vertices[surface.triangles[surface.faces_of_vertex[nearest]]]  # points, valence, 3, 3
    candidates = _closest_on_triangles(points[:, None, :], corners)
    best = np.argmin(np.sum((candidates - points[:, None, :]) ** 2, axis=-1), axis=1)
    return candidates[np.arange(len(points)), best]


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
        places = closest_points(transform(points, similarity=invert(similarity)), surface=surface)
        distances = np.linalg.norm(transform(places, similarity=similarity) - points, axis=1)
        near = np.argsort(distances, kind="stable")[: max(3, round(kept * len(points)))]
        rms = float(np.sqrt(np.mean(distances[near] ** 2)))
        if iteration == num_iterations or before - rms <= tolerance * rms:
            break
        similarity, before = procrustes(places[near], points[near]), rms
    return Alignment(similarity, distances, iteration)


def _closest_on_triangles(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Nearest place on each triangle (..., 3 corners, 3): inside it, or on one of its edges."""
    edges = np.roll(corners, -1, axis=-2) - corners
    relative = points[..., None, :] - corners
    shares = np.sum(relative * edges, axis=-1) / np.maximum(np.sum(edges * edges, axis=-1), 1e-30)
    on_edges = corners + np.clip(shares, 0.0, 1.0)[..., None] * edges
    normal = np.cross(edges[..., 0, :], -edges[..., 2, :])
    square = np.maximum(np.sum(normal * normal, axis=-1, keepdims=True), 1e-30)
    dropped = points - normal * np.sum(relative[..., 0, :] * normal, axis=-1, keepdims=True) / square
    sides = np.sum(np.cross(edges, dropped[..., None, :] - corners) * normal[..., None, :], axis=-1)
    candidates = np.concatenate([on_edges, dropped[..., None, :]], axis=-2)
    distances = np.sum((candidates - points[..., None, :]) ** 2, axis=-1)
    distances[..., 3] = np.where(np.all(sides >= 0.0, axis=-1), distances[..., 3], np.inf)
    best = np.argmin(distances, axis=-1)[..., None, None]
    return np.take_along_axis(candidates, best, axis=-2)[..., 0, :]
