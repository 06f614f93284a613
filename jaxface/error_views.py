"""Pictures of a coloured face from the front and both sides, whichever way its file turns it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from jaxface.evaluation.surfaces import LEFT_EYE_OUTER, MOUTH_CORNERS, RIGHT_EYE_OUTER
from jaxface.models.scan_landmarks import padded
from jaxface.numerics import normalise
from jaxface.rendering.clay import lambert
from jaxface.rendering.raster import draw

SIZE = 640  # pixels a side
VIEWS = {"right side": 1.0, "front": 0.0, "left side": -1.0}  # the subject's; turns of the head in radians

_MARGIN = 1.12
_DARKEST = 0.6  # share of a colour that stays in the shade, so that the scale can still be read
_DISPLAY_GAMMA = 2.2
_DOT_PX = 3


def face_views(
    vertices_mm: Float[np.ndarray, "vertices 3"],
    triangles: Int[np.ndarray, "faces 3"],
    colours: Float[np.ndarray, "vertices 3"],
    *,
    landmarks_mm: Float[np.ndarray, "68 3"],
    shown: Int[np.ndarray, "shown"],
) -> dict[str, Float[np.ndarray, "size size 3"]]:
    """Name -> picture on white, framed around the vertices `shown`; iBUG's eyes and mouth say what is upright."""
    upright_mm = np.asarray(vertices_mm, np.float64) @ face_axes(landmarks_mm).T
    low, high = upright_mm[shown].min(axis=0), upright_mm[shown].max(axis=0)
    scale = SIZE / (_MARGIN * max(float(np.linalg.norm((high - low)[[0, 2]])), float(high[1] - low[1]), 1e-6))
    centred_px = scale * (upright_mm - (low + high) / 2.0)
    triangles = _outwards(upright_mm, triangles, shown)
    pictures = {}
    for name, turn in VIEWS.items():
        turned = centred_px @ Rotation.from_euler("y", turn).as_matrix().T
        placed_px = turned * [1.0, -1.0, 1.0] + [SIZE / 2.0, SIZE / 2.0, 0.0]
        pictures[name] = _mesh(placed_px, triangles, colours, shown) if len(triangles) else _dots(placed_px, colours)
    return pictures


def face_axes(landmarks_mm: Float[np.ndarray, "68 3"]) -> Float[np.ndarray, "3 3"]:
    """The rotation that turns a face to the object frame's axes: its left to +x, up to +y, out to +z.

    By the outer corners of the eyes and the mouth; no rotation where one is unknown.
    """
    right, left, *mouth = landmarks_mm[[RIGHT_EYE_OUTER, LEFT_EYE_OUTER, *MOUTH_CORNERS]]
    across, up = left - right, (left + right) / 2.0 - np.mean(mouth, axis=0)
    if not np.isfinite([across, up]).all() or np.linalg.norm(np.cross(across, up)) < 1e-9:
        return np.eye(3)
    x = across / np.linalg.norm(across)
    z = np.cross(x, up) / np.linalg.norm(np.cross(x, up))
    return np.stack([x, np.cross(z, x), z])


def _outwards(upright_mm: np.ndarray, triangles: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """The triangles wound so that the part shown faces +z, as a face does: some files have them inside out."""
    a, b, c = np.moveaxis(upright_mm[triangles[np.isin(triangles, shown).all(axis=1)]], 1, 0)
    return triangles if np.cross(b - a, c - a)[:, 2].sum() >= 0.0 else triangles[:, ::-1]


def _mesh(placed_px: np.ndarray, triangles: np.ndarray, colours: np.ndarray, shown: np.ndarray) -> np.ndarray:
    rows, corners = padded(np.concatenate([placed_px, colours], axis=1), triangles)
    vertices, faces = jnp.asarray(rows, jnp.float32), jnp.asarray(corners, jnp.int32)
    return np.asarray(_draw(vertices[:, :3], faces, vertices[:, 3:], size=SIZE))


@functools.partial(jax.jit, static_argnames="size")
def _draw(vertices_px, triangles, colours, *, size):
    """Lit from the upper left, on white."""
    raster, normals, seen = draw(vertices_px, triangles, colours, size=size)
    light = jnp.minimum(lambert(normalise(normals)), 1.0) ** (1.0 / _DISPLAY_GAMMA)
    lit = seen * (_DARKEST + (1.0 - _DARKEST) * light)[..., None]
    return jnp.where((raster.triangle >= 0)[..., None], lit, 1.0)


def _dots(placed_px: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Squares, the nearer ones over those behind."""
    picture = np.ones((SIZE, SIZE, 3))
    order = np.argsort(placed_px[:, 2], kind="stable")
    columns, rows = np.round(placed_px[order, :2]).astype(int).T
    for step in np.ndindex(_DOT_PX, _DOT_PX):
        row, column = rows + step[0] - _DOT_PX // 2, columns + step[1] - _DOT_PX // 2
        inside = (row >= 0) & (row < SIZE) & (column >= 0) & (column < SIZE)
        picture[row[inside], column[inside]] = colours[order][inside]
    return picture
