"""Meshes and maps against a face whose shape is known, in its photograph's own frame."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import binary_erosion

from common import program
from common.faces import Truth
from jaxface.evaluation.alignment import Similarity, align_surface
from jaxface.evaluation.metrics import high_pass_correlation, normal_error_degrees, rmse
from jaxface.geometry.normals import vertex_normals
from jaxface.numerics import normalise
from jaxface.rendering.camera import project
from jaxface.rendering.raster import interpolate, rasterise
from jaxface.types import Camera, MorphableModel, Pose, Region

METRICS = {"normal_degrees": "normal error (deg)", "rmse_mm": "RMSE (mm)"}
RIM_PX = 3  # given up along the mask's edge, at 512
FACING = 0.5  # cosine to the viewer from which detail is judged: beyond, height exaggerates it
NUM_POINTS = 3000  # of the truth, for ICP


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


def place(vertices_mm, triangles: np.ndarray, pose: Pose, camera: Camera, *, size: int) -> Shape:
    """A mesh (object frame) where the photograph's camera sees it."""
    vertices_px = project(jnp.asarray(vertices_mm), jax.tree.map(jnp.asarray, pose), camera=camera)
    return Shape(vertices_px, triangles, draw(vertices_px, triangles, size=size))


@functools.lru_cache(maxsize=4)
def face_triangles(model: MorphableModel) -> np.ndarray:
    """The model's triangles without those outside the face (ears, neck, scalp)."""
    triangles, outside = np.asarray(model.triangles), np.asarray(model.vertex_regions) >= Region.OUTSIDE
    return triangles[~outside[triangles].any(axis=1)]


@functools.lru_cache(maxsize=4)
def fine_face_triangles(model: MorphableModel) -> np.ndarray:
    """The same of the fine mesh."""
    outside = (model.vertex_regions >= Region.OUTSIDE).astype(jnp.float32)
    share = np.asarray(program.to_fine(outside[:, None], model))[:, 0]
    triangles = np.asarray(program.fine_mesh(model).triangles)
    return triangles[~(share > 0.5)[triangles].any(axis=1)]


def judge(truth: Truth, covers: list[np.ndarray], *, size: int) -> Field:
    """Pixels where the true face and all of ours are seen, without openings and rim."""
    view = draw(truth.vertices_px, truth.triangles, truth.excluded, size=size)
    smooth = draw(truth.smooth_px, truth.triangles, size=size)
    mask = np.logical_and.reduce([view.covered, smooth.covered, view.values < 0.05, *covers])
    mask = binary_erosion(mask, iterations=max(1, round(RIM_PX * size / 512)))
    return Field(view, smooth, mask, mask & (smooth.normals_image[..., 2] > FACING), truth.px_per_mm)


def judge_all(truth: Truth, shapes: dict[tuple, dict[str, Shape]], *, size: int) -> Field:
    """The same, where all of these shapes are seen."""
    return judge(truth, [shape.view.covered for of in shapes.values() for shape in of.values()], size=size)


def errors(
    truth: Truth, shapes: dict[tuple, dict[str, Shape]], *, size: int, num_points: int = NUM_POINTS
) -> dict[tuple, dict[str, dict[str, float]]]:
    """Errors of many shapes, all on the same pixels."""
    field = judge_all(truth, shapes, size=size)
    return {
        name: {stage: shape_errors(field, shape, num_points=num_points) for stage, shape in of.items()}
        for name, of in shapes.items()
    }


def shape_errors(field: Field, shape: Shape, *, num_points: int = NUM_POINTS) -> dict[str, float]:
    """Mean angle between the normals (degrees), and RMSE of `num_points` after similarity ICP (mm)."""
    distances = _distances_mm(field, shape, num_points=num_points)
    return {"normal_degrees": normal_degrees(field, shape.view), "rmse_mm": rmse(distances)}


def normal_degrees(field: Field, view: View) -> float:
    """Mean angle between the normals of the truth and of a view, where this is covered."""
    return normal_error_degrees(view.normals_image, field.view.normals_image, mask=field.mask & view.covered)


def correlation(field: Field, height_px: np.ndarray, truth_px: np.ndarray, *, mask, sigma_mm: float) -> float:
    """Correlation of two maps less their Gaussian means; a flat one counts as one that does not correlate."""
    value = high_pass_correlation(height_px, truth_px, mask=mask, sigma_px=sigma_mm * field.px_per_mm)
    return float(np.nan_to_num(value))


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
