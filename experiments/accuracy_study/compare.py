"""Reconstructions against their truth, in the photograph's own frame."""

import functools
import importlib.resources
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from common import program
from scipy.ndimage import binary_erosion

from accuracy_study.faces import Truth
from jaxface.evaluation.alignment import Similarity, align_surface
from jaxface.evaluation.metrics import high_pass_correlation, normal_error_degrees, rmse
from jaxface.geometry.normals import vertex_normals
from jaxface.numerics import normalise
from jaxface.rendering.camera import project
from jaxface.rendering.raster import interpolate, rasterise
from jaxface.types import Landmarks, MorphableModel, Pose, Reconstruction, Region

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


class Shape(NamedTuple):
    """A mesh in image pixels, and its view."""

    vertices_px: jax.Array
    triangles: np.ndarray
    view: View


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


def draw_shape(vertices_px: jax.Array, triangles: np.ndarray, *, size: int) -> Shape:
    """A mesh with its view."""
    return Shape(vertices_px, triangles, draw(vertices_px, triangles, size=size))


@functools.lru_cache(maxsize=4)
def face_triangles(model: MorphableModel) -> np.ndarray:
    """The model's triangles without those outside the face (ears, neck, scalp)."""
    triangles, outside = np.asarray(model.triangles), np.asarray(model.vertex_regions) == Region.OUTSIDE
    return triangles[~outside[triangles].any(axis=1)]


@functools.lru_cache(maxsize=4)
def fine_face_triangles(model: MorphableModel) -> np.ndarray:
    """The same of the fine mesh."""
    outside = (model.vertex_regions == Region.OUTSIDE).astype(jnp.float32)
    share = np.asarray(program.to_fine(outside[:, None], model))[:, 0]
    triangles = np.asarray(program.fine_mesh(model).triangles)
    return triangles[~(share > 0.5)[triangles].any(axis=1)]


def evaluate(
    truth: Truth,
    runs: dict[tuple[str, str], Reconstruction],
    *,
    models: dict[str, MorphableModel],
    detected: Landmarks | None,
) -> dict[tuple[str, str], dict[str, dict[str, float]]]:
    """Metrics of each run (model, preset), all on the same pixels: "landmarks" (the coarse fit without shading),
    "coarse", "medium" and "fine"; and, under ("", ""), of the true surface without its relief, and of MediaPipe's own
    mesh where its landmarks are given."""
    size = truth.image.shape[0]
    shapes = {run: _shapes(rec, models[run[0]], size=size) for run, rec in runs.items()}
    covers = [shape.view.covered for stages in shapes.values() for shape in stages.values()]
    field = judge(truth, covers, size=size)
    results = {run: {stage: _metrics(field, shape) for stage, shape in of.items()} for run, of in shapes.items()}
    for run, rec in runs.items():
        results[run]["fine"] |= _relief_metrics(field, shapes[run]["fine"], rec, model=models[run[0]])
    results["", ""] = {"smooth truth": _map_metrics(field, field.smooth)}
    if detected is not None:
        mesh = draw_shape(_landmark_vertices(detected), _landmark_triangles(), size=size)
        results["", ""]["mediapipe"] = _metrics(field, mesh)
    return results


def _shapes(rec: Reconstruction, model: MorphableModel, *, size: int) -> dict[str, Shape]:
    first, *_ = program.fit_landmarks(rec.landmarks, rec.camera, model)
    triangles, pose = face_triangles(model), rec.coarse_fit.pose
    meshes = {
        "landmarks": (first.vertices_mm, first.pose, triangles),
        "coarse": (rec.coarse.vertices_mm, pose, triangles),
        "medium": (rec.medium.vertices_mm, pose, triangles),
        "fine": (rec.fine.vertices_mm, pose, fine_face_triangles(model)),
    }
    return {
        stage: draw_shape(_place(vertices_mm, pose, rec), corners, size=size)
        for stage, (vertices_mm, pose, corners) in meshes.items()
    }


def _relief_metrics(field: Field, fine: Shape, rec: Reconstruction, *, model: MorphableModel) -> dict[str, float]:
    """A relief of zero counts as one that does not correlate."""
    # The medium mesh as subdivided as the fine one: their difference is relief alone.
    base = program.to_fine(rec.medium.vertices_mm, model)
    base_px = draw(_place(base, rec.coarse_fit.pose, rec), fine.triangles, size=len(field.mask)).height_px
    along = field.smooth.normals_image[..., 2]  # turns height into distance along the normal
    relief_px, truth_px = along * (fine.view.height_px - base_px), field.view.height_px
    found = _correlations(field, relief_px, along * (truth_px - field.smooth.height_px), kind="relief")
    return found | _correlations(field, relief_px, along * (truth_px - base_px), kind="correction")


def _place(vertices_mm, pose: Pose, rec: Reconstruction) -> jax.Array:
    return project(jnp.asarray(vertices_mm), jax.tree.map(jnp.asarray, pose), camera=rec.camera)


def judge(truth: Truth, covers: list[np.ndarray], *, size: int) -> Field:
    """Pixels where the true face and all of ours are seen, without openings and rim."""
    view = draw(truth.vertices_px, truth.triangles, truth.excluded, size=size)
    smooth = draw(truth.smooth_px, truth.triangles, size=size)
    mask = np.logical_and.reduce([view.covered, smooth.covered, view.values < 0.05, *covers])
    mask = binary_erosion(mask, iterations=max(1, round(RIM_PX * size / 512)))
    return Field(view, smooth, mask, mask & (smooth.normals_image[..., 2] > FACING), truth.px_per_mm)


def shape_errors(field: Field, shape: Shape, *, num_points: int = NUM_POINTS) -> dict[str, float]:
    """Mean angle between the normals (degrees), and RMSE of `num_points` after similarity ICP (mm)."""
    distances = _distances_mm(field, shape, num_points=num_points)
    return {"normal_degrees": _normal_degrees(field, shape.view), "rmse_mm": rmse(distances)}


def _metrics(field: Field, shape: Shape) -> dict[str, float]:
    return _map_metrics(field, shape.view) | shape_errors(field, shape)


def _map_metrics(field: Field, view: View) -> dict[str, float]:
    seen = field._replace(facing=field.facing & view.covered)
    heights = _correlations(seen, view.height_px, field.view.height_px, kind="height")
    return {"normal_degrees": _normal_degrees(field, view)} | heights


def _normal_degrees(field: Field, view: View) -> float:
    return normal_error_degrees(view.normals_image, field.view.normals_image, mask=field.mask & view.covered)


def _correlations(field: Field, height_px: np.ndarray, truth_px: np.ndarray, *, kind: str) -> dict[str, float]:
    found = {}
    for sigma in SIGMAS_MM:
        value = high_pass_correlation(height_px, truth_px, mask=field.facing, sigma_px=sigma * field.px_per_mm)
        found[f"{kind}_hp{sigma:.0f}"] = float(np.nan_to_num(value))
    return found


def _distances_mm(field: Field, shape: Shape, *, num_points: int) -> np.ndarray:
    """Distances of true points, evenly spread over the mask, from the mesh after similarity ICP.

    The pose already puts the mesh in place in x and y; height has an offset that no photograph shows.
    """
    rows, columns = np.nonzero(field.mask)
    pick = np.linspace(0, len(rows) - 1, min(num_points, len(rows))).astype(int)
    rows, columns = rows[pick], columns[pick]
    points = np.stack([columns, rows, field.view.height_px[rows, columns]], axis=1) / field.px_per_mm
    both = field.mask & shape.view.covered
    offset = np.mean((field.view.height_px - shape.view.height_px)[both]) / field.px_per_mm
    start = Similarity(1.0, np.eye(3), np.array([0.0, 0.0, offset]))
    vertices = np.asarray(shape.vertices_px, np.float64) / field.px_per_mm
    return align_surface(points, vertices, np.asarray(shape.triangles), start=start).distances


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
