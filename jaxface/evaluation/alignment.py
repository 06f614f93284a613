"""Alignment of a surface and points, by a similarity or rigidly: in closed form, and by trimmed ICP. Deterministic.

NumPy float64, any length unit; results are in the unit of what stays fixed.
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from jaxface.geometry.nearest import Search, closest, make_search
from jaxface.types import FaceError

Icp = Literal["point_to_point", "point_to_plane", "point_to_surface"]

_PATIENCE = {"point_to_point": 1, "point_to_plane": 4, "point_to_surface": 4}  # rounds without gain before the end
_LEAST_DAMPING = 0.01  # after a step that did not help; ten times more after each further one
_MOST_TURN, _MOST_STRETCH = 0.3, 0.2  # radians and share, of one linearised step
_LEAST_EIGENVALUE = 1e-9  # of the largest: what moves no point along its normal stays as it is


class Similarity(NamedTuple):
    """x -> scale * rotation @ x + translation."""

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, "3"]


class Alignment(NamedTuple):
    """What was done to whatever moved, and the distance of each point from the surface then."""

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


def compose(second: Similarity, first: Similarity) -> Similarity:
    """The similarity that does `first`, then `second`."""
    translation = second.scale * second.rotation @ first.translation + second.translation
    return Similarity(second.scale * first.scale, second.rotation @ first.rotation, translation)


def procrustes(
    source: Float[np.ndarray, "points 3"], target: Float[np.ndarray, "points 3"], *, scale: bool = True
) -> Similarity:
    """The similarity that takes `source` nearest to `target` in least squares, Umeyama (1991) Eqs. 40 to 42.

    Without `scale` it is rigid. Raises FaceError for fewer than three points, or where all coincide.
    """
    if len(source) < 3:
        raise FaceError(f"A similarity needs at least 3 pairs of points, not {len(source)}.")
    source_mean, target_mean = source.mean(axis=0, dtype=np.float64), target.mean(axis=0, dtype=np.float64)
    a, b = source - source_mean[None, :], target - target_mean[None, :]
    u, singular, vt = np.linalg.svd(b.T @ a)
    if not singular[0] > 1e-12 * max(np.sum(source * source), np.sum(target * target)):
        raise FaceError("No similarity can be found from points that all coincide; the two surfaces do not fit.")
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])  # a rotation, never a reflection
    rotation = (u * signs[None, :]) @ vt
    factor = float(np.sum(singular * signs) / np.sum(a * a)) if scale else 1.0
    return Similarity(factor, rotation, target_mean - factor * rotation @ source_mean)


def plane_step(
    sources: Float[np.ndarray, "points 3"],
    targets: Float[np.ndarray, "points 3"],
    normals: Float[np.ndarray, "points 3"],
    *,
    scale: bool,
    damping: float = 0.0,
) -> Similarity:
    """One Gauss-Newton step of sum (normal . (T(source) - target))^2 over T (Chen and Medioni 1992; Low 2004).

    Unknown are rotation, translation and, with `scale`, the logarithm of the scale, all about the sources' centroid and
    linear. What the pairs do not fix, as sliding along a plane, stays as it is; a step is shortened where linear fails.
    `damping` shortens it further, as Levenberg and Marquardt do, in units of the stiffest direction.
    """
    centre = sources.mean(axis=0)
    arms = sources - centre[None, :]
    size = max(float(np.sqrt(np.mean(np.sum(arms * arms, axis=1)))), 1e-300)  # makes all unknowns alike
    stretch = np.sum(arms * normals, axis=1, keepdims=True)
    columns = np.concatenate([np.cross(arms, normals) / size, normals, stretch / size], axis=1)[:, : 7 if scale else 6]
    gaps = np.sum(normals * (targets - sources), axis=1) / size
    values, vectors = np.linalg.eigh(columns.T @ columns)
    fixed = values > _LEAST_EIGENVALUE * max(values[-1], 1e-300)
    step = vectors[:, fixed] @ ((vectors[:, fixed].T @ (columns.T @ gaps)) / (values[fixed] + damping * values[-1]))
    step = np.append(step, np.zeros(7 - len(step)))
    step /= max(1.0, np.linalg.norm(step[:3]) / _MOST_TURN, abs(step[6]) / _MOST_STRETCH)
    factor, rotation = float(np.exp(step[6])), Rotation.from_rotvec(step[:3]).as_matrix()
    return Similarity(factor, rotation, centre + size * step[3:6] - factor * rotation @ centre)


def align(
    points: Float[np.ndarray, "points 3"],
    search: Search,
    *,
    start: Similarity,
    icp: Icp = "point_to_point",
    scale: bool = True,
    moving: Literal["surface", "points"] = "surface",
    kept: float = 1.0,
    num_iterations: int = 200,
    tolerance: float = 1e-5,
    tolerance_mean: float | None = None,
) -> Alignment:
    """ICP of a surface to points that stay where they are, or of points to a surface that does (`moving`).

    Each round pairs every point with the nearest place on the surface (`closest`, not exact), drops the farthest
    `1 - kept` of the pairs, and
      "point_to_point"    brings the pairs nearest in closed form (Besl and McKay 1992);
      "point_to_plane"    takes a Gauss-Newton step to the tangent planes (Chen and Medioni 1992);
      "point_to_surface"  the same, but across each pair's own line: it lowers the distances to the surface themselves,
                          at its open border too, where tangent planes reach on.
    It ends when the rms of what is lowered falls by less than the share `tolerance`, or, if `tolerance_mean` is given,
    when the mean distance of the kept pairs falls by less than that length. A linearised step that does not help is
    taken back and damped. The distances returned are of all points.
    """
    points, best_merit, idle, damping = points.astype(np.float64), np.inf, 0, 0.0
    similarity = start if scale else start._replace(scale=1.0)
    for iteration in range(num_iterations + 1):
        sources, targets, normals = _pairs(points, search, similarity, icp=icp, moving=moving)
        distances = np.linalg.norm(sources - targets, axis=1)
        near = np.argsort(distances, kind="stable")[: max(3, round(kept * len(points)))]
        lowered = distances if normals is None else np.sum((sources - targets) * normals, axis=1)
        rms, mean = float(np.sqrt(np.mean(lowered[near] ** 2))), float(np.mean(distances[near]))
        merit, least = (rms, tolerance * rms) if tolerance_mean is None else (mean, tolerance_mean)
        idle = 0 if best_merit - merit > least else idle + 1
        if merit < best_merit:
            best, best_merit, pairs = Alignment(similarity, distances, iteration), merit, (sources, targets, normals)
            best_near, damping = near, damping / 10.0 if damping > _LEAST_DAMPING else 0.0
        else:
            damping = max(10.0 * damping, _LEAST_DAMPING)
        if idle >= _PATIENCE[icp] or iteration == num_iterations:
            break
        step = _step(*pairs, near=best_near, scale=scale, damping=damping)
        similarity = compose(step, best.similarity)
    return best


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
    """Similarity ICP, point to point, of a surface to points that stay where they are, from their middles by default.

    See `align`. The distances returned are those of all points, dropped or not.
    """
    search = make_search(vertices, triangles)
    middle = points.mean(axis=0, dtype=np.float64) - search.vertices.mean(axis=0)
    start = start or Similarity(1.0, np.eye(3), middle)
    return align(points, search, start=start, kept=kept, num_iterations=num_iterations, tolerance=tolerance)


def _pairs(
    points: np.ndarray, search: Search, similarity: Similarity, *, icp: Icp, moving: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """What moves, where it should go, and along which unit vector that counts; None: along all."""
    if moving == "surface":
        places = closest(transform(points, similarity=invert(similarity)), search, exact=False)
        sources, targets, rotation = transform(places.points, similarity=similarity), points, similarity.rotation
    else:
        sources = transform(points, similarity=similarity)
        places = closest(sources, search, exact=False)
        targets, rotation = places.points, np.eye(3)
    if icp == "point_to_point":
        return sources, targets, None
    edges = search.corners.edges[places.faces]
    across = np.cross(edges[:, 0], edges[:, 1])
    normals = _unit(across) @ rotation.T
    if icp == "point_to_surface":
        gaps = sources - targets
        apart = np.linalg.norm(gaps, axis=1, keepdims=True) > 1e-6 * np.sqrt(np.linalg.norm(across, axis=1)).mean()
        normals = np.where(apart, _unit(gaps), normals)
    return sources, targets, normals


def _step(sources, targets, normals, *, near: np.ndarray, scale: bool, damping: float) -> Similarity:
    if normals is None:
        return procrustes(sources[near], targets[near], scale=scale)
    return plane_step(sources[near], targets[near], normals[near], scale=scale, damping=damping)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
