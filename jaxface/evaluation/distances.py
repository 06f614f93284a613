"""Distances and angles between points and an aligned surface. NumPy float64, any length unit.

Orientation carries no meaning: scans come with triangles that point inwards, or both ways. So normals are lines here:
distances along them are unsigned, and the angle between two is at most 90 degrees.
"""

import numpy as np
from jaxtyping import Bool, Float

from jaxface.geometry.nearest import Places, Search

_ON = 1e-9  # weight of a corner from which on a place counts as off the opposite edge


def plane_distances(points: Float[np.ndarray, "points 3"], search: Search) -> Float[np.ndarray, "points"]:
    """|n . (p - q)| for each point p, with q the nearest vertex and n its unit normal: per-vertex point-to-plane."""
    lengths, nearest = search.tree.query(points)
    normals = vertex_normals(search)[nearest]
    along = np.abs(np.sum(normals * (points - search.vertices[nearest]), axis=1))
    return np.where(np.any(normals != 0.0, axis=1), along, lengths)  # no plane: all of the distance


def vertex_normals(search: Search) -> Float[np.ndarray, "vertices 3"]:
    """Unit, area-weighted; each vertex's sign is that of its first triangle, to which the others are turned first.

    So triangles of mixed orientation do not cancel. Zero where no triangle has an area.
    """
    flat = np.cross(search.corners.edges[:, 0], search.corners.edges[:, 1])[search.ring_faces]
    starts = search.ring_starts[:-1]
    first = np.repeat(flat[starts], np.diff(search.ring_starts), axis=0)
    turned = np.where(np.sum(flat * first, axis=1, keepdims=True) < 0.0, -flat, flat)
    return _unit(np.add.reduceat(turned, starts, axis=0))


def normals_at(places: Places, search: Search) -> Float[np.ndarray, "points 3"]:
    """Unit normals at places of the surface, blended from those of the triangle's vertices; signs mean nothing."""
    edges = search.corners.edges[places.faces]
    flat = np.cross(edges[:, 0], edges[:, 1])
    normals = vertex_normals(search)[search.triangles[places.faces]]
    normals = np.where(np.einsum("ikj,ij->ik", normals, flat)[..., None] < 0.0, -normals, normals)
    return _unit(np.einsum("ik,ikj->ij", places.weights, normals))


def on_border(places: Places, search: Search) -> Bool[np.ndarray, "points"]:
    """Whether a place lies on the mesh's open border: on an edge that only one triangle has, or at its end."""
    opposite = search.triangles[:, [[1, 2], [2, 0], [0, 1]]]  # faces, corner, ends of the edge across
    ends = np.sort(opposite.reshape(-1, 2), axis=1)
    edges = ends[:, 0].astype(np.int64) * len(search.vertices) + ends[:, 1]
    _, edge, count = np.unique(edges, return_inverse=True, return_counts=True)
    open_sides = (count[edge] == 1).reshape(-1, 3)
    border = np.zeros(len(search.vertices), bool)
    border[opposite[open_sides].reshape(-1)] = True
    on_side = np.any(open_sides[places.faces] & (places.weights < _ON), axis=1)
    at_end = np.any(border[search.triangles[places.faces]] & (places.weights > 1.0 - _ON), axis=1)
    return on_side | at_end


def line_angles_degrees(
    a: Float[np.ndarray, "points 3"], b: Float[np.ndarray, "points 3"]
) -> Float[np.ndarray, "points"]:
    """Angles between unit vectors seen as lines, 0 to 90 degrees; NaN where one is zero."""
    sine, cosine = np.linalg.norm(np.cross(a, b), axis=1), np.abs(np.sum(a * b, axis=1))
    return np.where(np.hypot(sine, cosine) > 0.5, np.degrees(np.arctan2(sine, cosine)), np.nan)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
