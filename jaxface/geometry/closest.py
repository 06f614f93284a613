"""The nearest place on a triangle mesh (host side, float64)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree


class Surface(NamedTuple):
    """A triangle mesh made ready for `closest_points`; `faces_of_vertex` is padded by repeating a face."""

    vertices: Float[np.ndarray, "vertices 3"]
    triangles: Int[np.ndarray, "faces 3"]
    faces_of_vertex: Int[np.ndarray, "vertices valence"]
    tree: cKDTree


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


def closest_points(
    points: Float[np.ndarray, "points 3"], *, surface: Surface
) -> tuple[Float[np.ndarray, "points 3"], Int[np.ndarray, "points"]]:
    """The nearest place on the triangles around the nearest vertex, for each point, and its triangle.

    That is the nearest place on the surface unless a triangle without that vertex is nearer, as in very uneven meshes.
    """
    _, nearest = surface.tree.query(points)
    around = surface.faces_of_vertex[nearest]
    corners = surface.vertices[surface.triangles[around]]  # points, valence, 3, 3
    candidates = _closest_on_triangles(points[:, None, :], corners)
    best = np.argmin(np.sum((candidates - points[:, None, :]) ** 2, axis=-1), axis=1)
    rows = np.arange(len(points))
    return candidates[rows, best], around[rows, best]


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
