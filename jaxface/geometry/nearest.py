"""The nearest place on a triangle mesh, for many points at once: fast along the ring of the nearest vertex, or exact.

NumPy float64, any length unit. Pairs of a point and a triangle that might be nearest stand in flat lists, so that one
vertex with many triangles costs no more than they do.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

_MOST_PAIRS = 2_000_000  # in memory at a time
_MOST_SIZES = 24  # octaves of triangle size told apart


class Corners(NamedTuple):
    """Triangles as one corner and the two edges that leave it, with the products of the edges."""

    origin: Float[np.ndarray, "faces 3"]
    edges: Float[np.ndarray, "faces 2 3"]
    products: Float[np.ndarray, "faces 3"]  # first.first, first.second, second.second


class Search(NamedTuple):
    """A mesh ready for `closest`: vertices at the same place are one, and those that no triangle uses are left out.

    So seams of a texture are no borders. `numbers` are the new indices of the old vertices, -1 for those left out.
    """

    vertices: Float[np.ndarray, "vertices 3"]
    triangles: Int[np.ndarray, "faces 3"]
    numbers: Int[np.ndarray, "old"]
    tree: cKDTree
    ring_starts: Int[np.ndarray, "ends"]  # faces of vertex i: ring_faces[ring_starts[i] : ring_starts[i + 1]]
    ring_faces: Int[np.ndarray, "sides"]
    corners: Corners


class Places(NamedTuple):
    """Where on the mesh: in space, on which triangle, and the weights of its corners."""

    points: Float[np.ndarray, "points 3"]
    faces: Int[np.ndarray, "points"]
    weights: Float[np.ndarray, "points 3"]


def make_search(vertices: Float[np.ndarray, "vertices 3"], triangles: Int[np.ndarray, "faces 3"]) -> Search:
    """Prepares a mesh of at least one triangle."""
    used = np.unique(triangles)
    firsts, merged = _same_places(vertices[used].astype(np.float64))
    numbers = np.full(len(vertices), -1)
    numbers[used] = merged
    vertices, triangles = vertices[used[firsts]].astype(np.float64), numbers[triangles]
    ring = np.argsort(triangles.reshape(-1), kind="stable") // 3
    starts = np.concatenate([[0], np.cumsum(np.bincount(triangles.reshape(-1), minlength=len(vertices)))])
    origin = vertices[triangles[:, 0]]
    edges = vertices[triangles[:, 1:]] - origin[:, None, :]
    first, second = edges[:, 0], edges[:, 1]
    products = np.stack([np.sum(a * b, axis=1) for a, b in ((first, first), (first, second), (second, second))], axis=1)
    return Search(vertices, triangles, numbers, cKDTree(vertices), starts, ring, Corners(origin, edges, products))


def closest(points: Float[np.ndarray, "points 3"], search: Search, *, exact: bool = True) -> Places:
    """The nearest place on the mesh to each point; of equally near ones the first.

    Not `exact`: on the triangles around the nearest vertex only, which differs where triangles are very uneven.
    """
    nearest = search.tree.query(points)[1]
    starts, ends = search.ring_starts[nearest], search.ring_starts[nearest + 1]
    faces = np.empty(len(points), np.int64)
    for rows in _chunks(ends - starts):
        counts = (ends - starts)[rows]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        faces[rows] = _best(points[rows], search.ring_faces[np.repeat(starts[rows], counts) + within], counts, search)
    places = _place(points, faces, search)
    return _refine(points, places, search) if exact else places


def _same_places(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first point of each place, in the points' order, and each point's place."""
    _, first, place = np.unique(points + 0.0, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return first[order], np.argsort(order)[place.reshape(-1)]


def _refine(points: np.ndarray, places: Places, search: Search) -> Places:
    """Searches all triangles that could be nearer than those found: their centroids lie within their radius of that."""
    corners = search.vertices[search.triangles]
    centroids = corners.mean(axis=1)
    radii = np.sqrt(np.max(np.sum((corners - centroids[:, None, :]) ** 2, axis=-1), axis=1))
    octaves = np.clip(np.floor(np.log2(radii.max() / np.maximum(radii, 1e-300))), 0, _MOST_SIZES - 1)
    for octave in np.unique(octaves):
        members = np.flatnonzero(octaves == octave)
        tree, radius = cKDTree(centroids[members]), radii[members].max()
        reach = (np.linalg.norm(places.points - points, axis=1) + radius) * (1.0 + 1e-9)
        for rows in _chunks(tree.query_ball_point(points, reach, return_length=True)):
            lists = tree.query_ball_point(points[rows], reach[rows], return_sorted=True)
            counts = np.array([len(found) for found in lists]) + 1  # the triangle already found stands first
            faces = np.empty(counts.sum(), np.int64)
            firsts = np.cumsum(counts) - counts
            other = np.ones(len(faces), bool)
            other[firsts] = False
            faces[firsts] = places.faces[rows]
            faces[other] = members[np.fromiter(itertools.chain.from_iterable(lists), np.int64, len(faces) - len(rows))]
            places.faces[rows] = _best(points[rows], faces, counts, search)
        places = _place(points, places.faces, search)
    return places


def _chunks(counts: np.ndarray) -> Iterator[np.ndarray]:
    """Runs of rows with at most `_MOST_PAIRS` pairs together, or one row."""
    total = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = total[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(total, done + _MOST_PAIRS, side="right")))
        yield np.arange(start, end)
        start = end


def _best(points: np.ndarray, faces: np.ndarray, counts: np.ndarray, search: Search) -> np.ndarray:
    """Of each point's `counts` faces, listed one point after the other, the first of the nearest."""
    owner = np.repeat(np.arange(len(points)), counts)
    squares = _squared_distances(points[owner], faces, search.corners)
    least = np.minimum.reduceat(squares, np.cumsum(counts) - counts)
    rows = np.flatnonzero(squares == least[owner])[::-1]
    best = np.empty(len(points), np.int64)
    best[owner[rows]] = faces[rows]  # of repeated indices the last one counts: the first face
    return best


def _squared_distances(points: np.ndarray, faces: np.ndarray, corners: Corners) -> np.ndarray:
    square, u, v, w, x, y = _products(points, faces, corners)
    s, t, inside = _foot(u, v, w, x, y)
    along, across, third = _on_edges(u, v, w, x, y)
    diagonal = u - 2.0 * v + w
    distances = np.minimum(along * (u * along - 2.0 * x), across * (w * across - 2.0 * y))
    beyond = third * (diagonal * third - 2.0 * (y - v - x + u)) + u - 2.0 * x
    distances = np.minimum(distances, beyond)
    return square + np.where(inside, np.minimum(-s * x - t * y, distances), distances)


def _place(points: np.ndarray, faces: np.ndarray, search: Search) -> Places:
    _, u, v, w, x, y = _products(points, faces, search.corners)
    s, t, inside = _foot(u, v, w, x, y)
    along, across, third = _on_edges(u, v, w, x, y)
    zero = np.zeros_like(s)
    feet = [(along, zero), (zero, across), (1.0 - third, third), (np.where(inside, s, 0.0), np.where(inside, t, 0.0))]
    values = np.stack([u * a * a + 2.0 * v * a * b + w * b * b - 2.0 * (x * a + y * b) for a, b in feet])
    values[3][~inside] = np.inf
    best, rows = np.argmin(values, axis=0), np.arange(len(faces))
    a, b = (np.stack([foot[part] for foot in feet])[best, rows] for part in (0, 1))
    origin, edges = search.corners.origin[faces], search.corners.edges[faces]
    found = origin + a[:, None] * edges[:, 0] + b[:, None] * edges[:, 1]
    return Places(found, faces, np.stack([1.0 - a - b, a, b], axis=1))


def _products(points: np.ndarray, faces: np.ndarray, corners: Corners) -> tuple[np.ndarray, ...]:
    """d.d, the edges' products and e.d, for d from the triangle's first corner to the point."""
    offset, edges = points - corners.origin[faces], corners.edges[faces]
    u, v, w = corners.products[faces].T
    x, y = (np.einsum("ij,ij->i", edges[:, side], offset) for side in (0, 1))
    return np.einsum("ij,ij->i", offset, offset), u, v, w, x, y


def _foot(u, v, w, x, y) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The point's foot on the plane, in edges, and whether it is inside the triangle."""
    area = u * w - v * v
    flat = area <= 1e-14 * u * w  # no plane: its edges say all
    area = np.where(flat, 1.0, area)
    s, t = (w * x - v * y) / area, (u * y - v * x) / area
    return s, t, ~flat & (s >= 0.0) & (t >= 0.0) & (s + t <= 1.0)


def _on_edges(u, v, w, x, y) -> list[np.ndarray]:
    """The nearest place on each edge, as a share: from the first corner twice, then from the second to the third."""
    pairs = ((x, u), (y, w), (y - v - x + u, u - 2.0 * v + w))
    return [np.clip(part / np.maximum(whole, 1e-300), 0.0, 1.0) for part, whole in pairs]
