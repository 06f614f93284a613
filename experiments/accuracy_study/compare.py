"""One reconstruction against its truth, in the photograph's own frame."""

import functools
import importlib.resources
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import binary_erosion

from accuracy_study.faces import Truth
from jaxface.evaluation.alignment import Similarity, align_surface
from jaxface.evaluation.metrics import high_pass_correlation, normal_error_degrees, rmse
from jaxface.frame import prepare
from jaxface.geometry.normals import vertex_normals
from jaxface.geometry.subdivision import subdivide
from jaxface.numerics import normalise
from jaxface.rendering.camera import project
from jaxface.rendering.raster import interpolate, rasterise
from jaxface.types import Landmarks, MorphableModel, Reconstruction

SIGMAS_MM = (2.0, 4.0)  # of the high-pass
RIM_PX = 3  # given up along the mask's edge, at 512
FACING = 0.5  # cosine to the viewer from which detail is judged: beyond, height exaggerates it
NUM_POINTS = 3000  # of the truth, for ICP
NUM_SURFACE = 468  # MediaPipe points with a triangulation


class View(NamedTuple):
    """A mesh as the photograph's camera sees it."""

    covered: np.ndarray
    height_px: np.ndarray
    normals_image: np.ndarray
    values: np.ndarray


class Field(NamedTuple):
    """Where and against what is judged."""

    view: View
    smooth: View  # without relief
    mask: np.ndarray
    facing: np.ndarray  # of the mask, where detail is judged
    px_per_mm: float


@functools.partial(jax.jit, static_argnames="size")
def _draw(vertices_px, triangles, values, *, size):
    raster = rasterise(vertices_px, triangles, height=size, width=size)
    # Image y points down, so that triangles that face the viewer have normals into the image.
    attributes = jnp.concatenate([-vertex_normals(vertices_px, triangles), values[:, None]], axis=1)
    seen = interpolate(raster, attributes, triangles)
    return raster.triangle >= 0, raster.height_px, normalise(seen[..., :3]), seen[..., 3]


def draw(vertices_px, triangles, values=None, *, size: int) -> View:
    """Rasterises a mesh, with one value a vertex if wanted."""
    values = jnp.zeros(vertices_px.shape[0]) if values is None else values
    return View(*map(np.asarray, _draw(jnp.asarray(vertices_px), jnp.asarray(triangles), values, size=size)))


def evaluate(
    truth: Truth, rec: Reconstruction, *, model: MorphableModel, detected: bool
) -> dict[str, dict[str, float]]:
    """Metrics of coarse, medium and fine, of the true surface without its relief, and, if the landmarks were detected,
    of MediaPipe's own mesh. A relief of zero counts as one that does not correlate."""
    size = truth.image.shape[0]
    shapes = {name: getattr(rec, name) for name in ("coarse", "medium", "fine")}
    meshes = {name: (_place(shape.vertices_mm, rec), shape.triangles) for name, shape in shapes.items()}
    views = {name: draw(*mesh, size=size) for name, mesh in meshes.items()}
    field = _judge(truth, [view.covered for view in views.values()], size=size)
    results = {name: _metrics(field, views[name], mesh) for name, mesh in meshes.items()}

    # The medium mesh as subdivided as the fine one: their difference is relief alone.
    base = subdivide(jnp.asarray(rec.medium.vertices_mm), subdivision=prepare(model).detail.subdivision)
    base_px = draw(_place(base, rec), rec.fine.triangles, size=size).height_px
    along = field.smooth.normals_image[..., 2]  # turns height into distance along the normal
    relief_px, truth_px = along * (views["fine"].height_px - base_px), field.view.height_px
    results["fine"] |= _correlations(field, relief_px, along * (truth_px - field.smooth.height_px), kind="relief")
    results["fine"] |= _correlations(field, relief_px, along * (truth_px - base_px), kind="correction")
    results["smooth truth"] = _map_metrics(field, field.smooth)
    if detected:
        mesh = (_landmark_vertices(rec.landmarks), _landmark_triangles())
        results["mediapipe"] = _metrics(field, draw(*mesh, size=size), mesh)
    return results


def _place(vertices_mm, rec: Reconstruction) -> jax.Array:
    return project(jnp.asarray(vertices_mm), jax.tree.map(jnp.asarray, rec.coarse_fit.pose), camera=rec.camera)


def _judge(truth: Truth, covers: list[np.ndarray], *, size: int) -> Field:
    """Pixels where the true face and all of ours are seen, without openings and rim."""
    view = draw(truth.vertices_px, truth.triangles, truth.excluded, size=size)
    smooth = draw(truth.smooth_px, truth.triangles, size=size)
    mask = np.logical_and.reduce([view.covered, smooth.covered, view.values < 0.05, *covers])
    mask = binary_erosion(mask, iterations=max(1, round(RIM_PX * size / 512)))
    return Field(view, smooth, mask, mask & (smooth.normals_image[..., 2] > FACING), truth.px_per_mm)


def _metrics(field: Field, view: View, mesh: tuple) -> dict[str, float]:
    return _map_metrics(field, view) | {"rmse_mm": rmse(_distances_mm(field, view, mesh))}


def _map_metrics(field: Field, view: View) -> dict[str, float]:
    mask = field.mask & view.covered
    error = normal_error_degrees(view.normals_image, field.view.normals_image, mask=mask)
    seen = field._replace(facing=field.facing & view.covered)
    return {"normal_degrees": error} | _correlations(seen, view.height_px, field.view.height_px, kind="height")


def _correlations(field: Field, height_px: np.ndarray, truth_px: np.ndarray, *, kind: str) -> dict[str, float]:
    found = {}
    for sigma in SIGMAS_MM:
        value = high_pass_correlation(height_px, truth_px, mask=field.facing, sigma_px=sigma * field.px_per_mm)
        found[f"{kind}_hp{sigma:.0f}"] = float(np.nan_to_num(value))
    return found


def _distances_mm(field: Field, view: View, mesh: tuple) -> np.ndarray:
    """Distances of true points, evenly spread over the mask, from the mesh after similarity ICP.

    The pose already puts the mesh in place in x and y; height has an offset that no photograph shows.
    """
    rows, columns = np.nonzero(field.mask)
    pick = np.linspace(0, len(rows) - 1, min(NUM_POINTS, len(rows))).astype(int)
    rows, columns = rows[pick], columns[pick]
    points = np.stack([columns, rows, field.view.height_px[rows, columns]], axis=1) / field.px_per_mm
    both = field.mask & view.covered
    offset = np.mean((field.view.height_px - view.height_px)[both]) / field.px_per_mm
    start = Similarity(1.0, np.eye(3), np.array([0.0, 0.0, offset]))
    vertices = np.asarray(mesh[0], np.float64) / field.px_per_mm
    return align_surface(points, vertices, np.asarray(mesh[1]), start=start).distances


def _landmark_vertices(landmarks: Landmarks) -> jax.Array:
    """Detected points as they are: x, y, and the detector's own height."""
    points = jnp.concatenate([landmarks.points_px, landmarks.height_px[:, None]], axis=1)
    return points[:NUM_SURFACE]


@functools.cache
def _landmark_triangles() -> np.ndarray:
    """The topology of MediaPipe's surface points, openings closed: the control mesh of the default model."""
    file = importlib.resources.files("jaxface.morphable") / "data" / "default_face.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        return stored["triangles"].astype(np.int32)
