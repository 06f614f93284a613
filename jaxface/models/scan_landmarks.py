"""Landmarks on any mesh of a face: what a detector finds on pictures of it in clay, looked up on the surface.

The first picture that shows a face turns the mesh frontal; of several looks from near there, each landmark's middle
sighting is taken. A detector trained on photos misses the places on bare clay by some millimetres: enough to start an
alignment, or to crop, by.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from jaxface.detection.sources import find_faces
from jaxface.models import portrait, transfer
from jaxface.rendering import index_map
from jaxface.types import IBUG_68, Detector, FaceError

# Nod and turn (radians) of the first looks: faces that look up or down, away, or along another axis than +z.
_FIRST = [(0.0, 0.0), (-0.35, 0.0), (0.35, 0.0), (-0.7, 0.0), (0.7, 0.0), (0.0, 0.6), (0.0, -0.6)]
_FIRST += [(-np.pi / 2, 0.0), (0.0, np.pi), (0.0, np.pi / 2), (0.0, -np.pi / 2), (np.pi / 2, 0.0)]
_AGAIN = [portrait.FRONTAL]
_NEAR = [portrait.View(yaw, pitch, "soft") for yaw, pitch in ((0, 0), (0.12, 0), (-0.12, 0), (0, 0.1), (0, -0.1))]
_SKIN = (0.62, 0.46, 0.38)
_BOX_MM = 230.0  # the mesh's larger side on the first pictures, which show 288 mm
_INNER = 17  # iBUG's points before it are the face's outline in a picture, not places on it
_FEWEST = 40  # of the other 51
_LARGEST_MISS_MM = 12.0  # rms distance from the mean face, at its size
_look_up = jax.jit(index_map.embed)


class _Clay(NamedTuple):
    """A mesh padded to sizes that others share, so that they share compiled code."""

    vertices: Float[np.ndarray, "vertices 3"]
    triangles: Int[np.ndarray, "faces 3"]


class _Similarity(NamedTuple):
    """x -> scale * rotation @ (x - centre)."""

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    centre: Float[np.ndarray, "3"]


def find_landmarks(
    vertices_mm: Float[np.ndarray, "vertices 3"], triangles: Int[np.ndarray, "faces 3"], *, detect: Detector
) -> Float[np.ndarray, "68 3"]:
    """iBUG's points on the mesh, in its own frame and unit, whatever that is; the jaw's 17 and unseen ones are NaN.

    Raises FaceError for a point cloud, and where no face is seen.
    """
    if len(triangles) == 0:
        raise FaceError("A point cloud cannot be searched for landmarks: give them in a file.")
    clay, points = _first_look(np.asarray(vertices_mm, np.float64), triangles, detect)
    for views in (_AGAIN, _NEAR):
        frontal = _to_mean_face(points)[0]
        looks = (_look(clay, frontal, view, detect) for view in views)
        points = _middle([look for look in looks if look is not None], fallback=points)
    found = points[list(IBUG_68)]
    found[:_INNER] = np.nan
    return found


def padded(
    vertices: Float[np.ndarray, "vertices channels"], triangles: Int[np.ndarray, "faces 3"]
) -> tuple[Float[np.ndarray, "more_vertices channels"], Int[np.ndarray, "more_faces 3"]]:
    """Zeros behind both up to powers of two: triangles without area, which are not drawn."""
    padding = [(1 << (len(rows) - 1).bit_length()) - len(rows) for rows in (vertices, triangles)]
    more, faces = (np.pad(rows, [(0, pad), (0, 0)]) for rows, pad in zip((vertices, triangles), padding, strict=True))
    return more, faces


def _first_look(vertices: np.ndarray, triangles: np.ndarray, detect: Detector) -> tuple[_Clay, np.ndarray]:
    """The first landmarks that make a face, and the mesh wound so that it shows it."""
    for winding in (triangles, triangles[:, ::-1]):
        clay = _Clay(*padded(vertices, np.ascontiguousarray(winding, np.int32)))
        for nod, turn in _FIRST:
            rotation = Rotation.from_euler("yx", [turn, nod]).as_matrix()
            points = _look(clay, _fitting(vertices, rotation), portrait.FRONTAL, detect)
            if points is not None and _to_mean_face(points)[1] < _LARGEST_MISS_MM:
                return clay, points
    raise FaceError("No face was found on the mesh: give its landmarks in a file.")


def _fitting(vertices: np.ndarray, rotation: np.ndarray) -> _Similarity:
    """Turned by the rotation and scaled into the picture; a few stray vertices do not count."""
    low, high = np.percentile(vertices @ rotation.T, [1.0, 99.0], axis=0)
    side = max(float((high - low)[:2].max()), 1e-9)
    return _Similarity(_BOX_MM / side, rotation, (low + high) / 2.0 @ rotation)


def _look(clay: _Clay, placed: _Similarity, view: portrait.View, detect: Detector) -> np.ndarray | None:
    """The detector's 478 points on the surface, by one picture; NaN beside the mesh, None without a face."""
    moved_mm = placed.scale * (clay.vertices - placed.centre) @ placed.rotation.T
    colours = np.tile(np.array(_SKIN, np.float32), (len(moved_mm), 1))
    sitter = portrait.Sitter(clay.triangles, np.zeros(3, np.float32))
    taken = portrait.take(moved_mm.astype(np.float32), colours, view, sitter=sitter)
    faces = find_faces(taken.image, detector=detect)
    if not faces:
        return None
    places = _look_up(
        faces[0].points_px, taken.raster, vertices_px=taken.vertices_px, triangles=jnp.asarray(clay.triangles)
    )
    triangle, weights = (np.asarray(part) for part in places)
    points = np.sum(weights[..., None] * clay.vertices[clay.triangles[np.maximum(triangle, 0)]], axis=1)
    points[triangle < 0] = np.nan
    return points


def _to_mean_face(points: np.ndarray) -> tuple[_Similarity, float]:
    """What takes the points nearest to the embedded mean face's, and how far off they stay (rms, mm): infinitely far
    where too few are known."""
    inner = list(IBUG_68[_INNER:])
    points, there_mm = points[inner], transfer.default_landmarks()[inner]
    known = np.isfinite(points).all(axis=1)
    if known.sum() < _FEWEST:
        return _Similarity(1.0, np.eye(3), np.zeros(3)), np.inf
    points, there_mm = points[known], there_mm[known]
    centre, middle_mm = points.mean(axis=0), there_mm.mean(axis=0)
    there_mm = there_mm - middle_mm
    scale = float(np.sqrt(np.sum(there_mm**2) / max(np.sum((points - centre) ** 2), 1e-30)))
    rotation, miss = Rotation.align_vectors(there_mm, scale * (points - centre))
    return _Similarity(scale, rotation.as_matrix(), centre), float(miss) / np.sqrt(len(points))


def _middle(looks: list[np.ndarray], *, fallback: np.ndarray) -> np.ndarray:
    """Of each landmark the sighting nearest to the median, a place on the surface; of rare ones the fallback."""
    if not looks:
        return fallback
    stack = np.stack(looks)
    seen = np.isfinite(stack).all(axis=-1)
    often = 2 * seen.sum(axis=0) > len(looks)
    median = np.nanmedian(np.where(often[None, :, None], stack, 0.0), axis=0)
    misses = np.where(seen, np.linalg.norm(stack - median[None], axis=-1), np.inf)
    nearest = stack[np.argmin(misses, axis=0), np.arange(stack.shape[1])]
    return np.where(often[:, None], nearest, fallback)
