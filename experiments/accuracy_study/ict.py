"""Faces of ICT-FaceKit (MIT, USC ICT): other people's geometry, painted and creased by our synthetic world.

Geometry, with 100 identity components ~ N(0, 1), is ICT's own; in the world "ict off" a smooth field outside its basis
is added, as no model holds every face. Relief and paint are functions of a point on the default model's mean face, so a
thin-plate spline through the 68 iBUG landmarks carries ICT's neutral face there. The spline places creases, lips and
brows; the shape that is judged stays ICT's.
"""

import functools
import os
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from accuracy_study.faces import LEVELS, Case, Truth, identity_key
from jaxface.geometry.normals import vertex_normals
from jaxface.geometry.subdivision import Subdivision, loop_subdivision, subdivide
from jaxface.models import catalogue, store
from jaxface.models.readers.ict import read
from jaxface.models.source import SourceModel
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import landmark_positions
from jaxface.morphable.pose import rotation_matrix, rotation_vector
from jaxface.numerics import matmul, normalise
from jaxface.rendering.camera import orthographic, project
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import shading
from jaxface.rendering.raster import interpolate, rasterise, visibility
from jaxface.synthetic import preset_light
from jaxface.synthetic_fields import relief, unexplained_field
from jaxface.synthetic_paint import backdrop, paint_face
from jaxface.types import IBUG_68, NUM_LANDMARKS, Landmarks, Pose, Region

OFF_BASIS_MM = {"ict": 0.0, "ict off": 0.5}  # rms of the field outside the basis

# Of the head's vertices: the front of the face comes first, then the rest of the part "face", the eyeballs last.
_FRONT, _FACE, _HEAD = 6706, 9409, 14062
_HAIR, _HAIRLINE_MM = (0.16, 0.11, 0.08), (88.0, 96.0)  # above the middle of the eyes, on ICT's neutral
_DETAIL_MM, _NOISE = 0.5, 0.004


class LandmarkPlaces(NamedTuple):
    """Rows among MediaPipe's points, and where these lie: three vertices each, and their weights."""

    rows: np.ndarray
    corners: np.ndarray
    weights: np.ndarray


class Ict(NamedTuple):
    """The model and what was prepared for photographs; fine vertices are those of the subdivided mesh."""

    neutral_mm: jax.Array
    identity_mm: jax.Array
    expression_mm: jax.Array
    landmarks: LandmarkPlaces
    subdivision: Subdivision
    reference_mm: jax.Array  # fine vertices on the default model's mean face
    regions: jax.Array  # fine vertices' shares of each label
    excluded: jax.Array
    hair: jax.Array


def find(path: str | None) -> pathlib.Path | None:
    """The ICT-FaceKit data, named or beside the tests' data, or None with a printed reason."""
    if path is not None:
        if not pathlib.Path(path).exists():
            raise app.UsageError(f"--ict_dir={path} does not exist; name the FaceXModel folder or an archive of it.")
        return pathlib.Path(path)
    beside = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = pathlib.Path(os.environ.get("JAXFACE_TEST_DATA", beside))
    for candidate in (folder / "FaceXModel", folder / "ict-facekit.tar.xz"):
        if candidate.exists():
            return candidate
    print("ICT-FaceKit is left out: neither --ict_dir nor $JAXFACE_TEST_DATA leads to it.")
    return None


def load(path: pathlib.Path) -> Ict:
    """Reads the FaceXModel folder, or an archive of it, and prepares it for photographs. Raises FaceError."""
    return _prepare(read(path, part="head"))


def _landmark_places(source: SourceModel) -> LandmarkPlaces:
    """Where the installed model "ict" has its landmarks, but for those on the membranes that close its eyes and mouth;
    the inner 51 of iBUG's 68 if it is not installed."""
    if not catalogue.is_installed(catalogue.find("ict")):
        corners = np.repeat(source.ibug_vertices[17:, None], 3, axis=1)
        return LandmarkPlaces(np.array(IBUG_68[17:]), corners, np.full(corners.shape, 1.0 / 3.0, np.float32))
    model = store.resolve("ict")
    corners = np.asarray(model.triangles)[np.asarray(model.landmark_triangles)]
    weights = np.asarray(model.landmark_barycentrics)
    is_there = (weights.sum(axis=1) > 0.5) & ~((corners >= _FACE) & (weights > 0.0)).any(axis=1)
    rows = np.flatnonzero(is_there)
    # A corner without weight may be a membrane's, which the head does not have.
    return LandmarkPlaces(rows, np.where(corners < _FACE, corners, 0)[rows], weights[rows])


def _prepare(source: SourceModel) -> Ict:
    neutral, triangles, landmarks = source.mean_mm, source.triangles, source.ibug_vertices
    model = load_default()
    subdivision = loop_subdivision(triangles, num_vertices=len(neutral), levels=LEVELS)
    fine = functools.partial(subdivide, subdivision=subdivision)
    there = np.asarray(landmark_positions(model.mean_mm, model=model), np.float64)[list(IBUG_68)]
    carry = RBFInterpolator(neutral[landmarks], there, kernel="linear", smoothing=0.5, degree=1)
    reference = carry(neutral)
    labels = np.asarray(model.vertex_regions)[cKDTree(np.asarray(model.mean_mm)).query(reference)[1]]
    labels[_FRONT:_HEAD] = Region.SKIN
    labels[_HEAD:] = Region.EYE_OPENING
    front = np.arange(len(neutral)) < _FRONT
    excluded = ~front | (labels == Region.EYE_OPENING) | (labels == Region.MOUTH_OPENING)
    height = neutral[:, 1] - neutral[landmarks[36:48], 1].mean()
    hair = np.clip((height - _HAIRLINE_MM[0]) / (_HAIRLINE_MM[1] - _HAIRLINE_MM[0]), 0.0, 1.0)
    columns = np.stack([excluded, hair], axis=1)
    excluded, hair = fine(jnp.asarray(columns, jnp.float32)).T
    return Ict(
        neutral_mm=jnp.asarray(neutral),
        identity_mm=jnp.asarray(source.identity_mm),
        expression_mm=jnp.asarray(source.expression_mm),
        landmarks=_landmark_places(source),
        subdivision=subdivision,
        reference_mm=fine(jnp.asarray(reference, jnp.float32)),
        regions=fine(jax.nn.one_hot(labels, len(Region))),
        excluded=excluded,
        hair=hair,
    )


def ict_truth(case: Case, *, ict: Ict, size: int, seed: int) -> Truth:
    """A photograph of a random ICT identity; landmarks are those that ICT's face has, at their MediaPipe rows."""
    key = jax.random.fold_in(identity_key(case, seed=seed), 1)
    light, yaw = preset_light(case.light), jnp.float32(np.radians(case.yaw))
    off_mm = jnp.float32(OFF_BASIS_MM[case.world])
    image, vertices, smooth, scale, points, seen = _photograph(key, yaw, light, off_mm, ict, load_default(), size=size)
    rows = ict.landmarks.rows
    points_px, height_px, confidence = np.zeros((NUM_LANDMARKS, 2)), np.zeros(NUM_LANDMARKS), np.zeros(NUM_LANDMARKS)
    points_px[rows], height_px[rows], confidence[rows] = points[:, :2], points[:, 2], seen
    landmarks = Landmarks(*(jnp.asarray(x, jnp.float32) for x in (points_px, height_px, confidence)))
    triangles = ict.subdivision.triangles
    return Truth(np.asarray(image), vertices, smooth, triangles, ict.excluded, float(scale), landmarks)


@functools.partial(jax.jit, static_argnames="size")
def _photograph(key, yaw, light, off_mm, ict, model, *, size):
    keys = jax.random.split(key, 6)
    triangles = ict.subdivision.triangles
    smooth, vertices = _shapes(keys[0], keys[1], off_mm, ict, model)
    pose = _pose(keys[2], yaw, smooth[:_FRONT], size=size)
    place = functools.partial(project, pose=pose, camera=orthographic())
    projected = place(vertices)
    raster = rasterise(projected, triangles, height=size, width=size)
    mask = (raster.triangle >= 0).astype(jnp.float32)[..., None]
    columns = [-vertex_normals(projected, triangles), ict.reference_mm, ict.regions, ict.hair[:, None]]
    seen = interpolate(raster, jnp.concatenate(columns, axis=1), triangles)
    normals, rows = normalise(seen[..., :3]), seen.reshape(size * size, -1)
    mean_landmarks = landmark_positions(model.mean_mm, model=model)
    albedo = paint_face(
        keys[3], rows[:, 3:6], jnp.clip(rows[:, 6:-1], 0.0, 1.0), landmarks_mm=mean_landmarks, model=model, texture=1.0
    ).reshape(size, size, 3)
    skin = jnp.median(albedo.reshape(-1, 3), axis=0)
    albedo = albedo + seen[..., -1:] * (jnp.array([[_HAIR]]) - albedo)
    front = projected[:_FRONT]
    low, high = jnp.min(front[:, :2], axis=0), jnp.max(front[:, :2], axis=0)
    behind = backdrop(keys[4], size=size, centre_px=0.5 * (low + high), face_size_px=high - low, skin=skin)
    image = jnp.where(mask > 0, render(albedo, shading(normals, light)), behind)
    image = jnp.clip(image + _NOISE * jax.random.normal(keys[5], image.shape), 0.0, 1.0)
    points = jnp.sum(ict.landmarks.weights[..., None] * projected[ict.landmarks.corners], axis=1)
    return (
        image,
        projected,
        place(smooth),
        jnp.exp(pose.log_scale),
        points,
        visibility(points, raster, tolerance_px=2.0),
    )


def _shapes(key, relief_key, off_mm, ict, model):
    coefficients = jax.random.normal(key, ict.identity_mm.shape[:1])
    control = ict.neutral_mm + jnp.tensordot(coefficients, ict.identity_mm, axes=1, precision="highest")
    shapes_mm = jnp.concatenate([ict.identity_mm, ict.expression_mm])
    control = control + off_mm * unexplained_field(jax.random.fold_in(key, 1), ict.neutral_mm, shapes_mm)
    smooth = subdivide(control, subdivision=ict.subdivision)
    regions = ict.regions
    bare = regions[:, Region.EYE_OPENING] + regions[:, Region.MOUTH_OPENING] + 0.7 * regions[:, Region.MOUTH]
    bumps = relief(relief_key, ict.reference_mm, landmark_positions(model.mean_mm, model=model))
    bumps = _DETAIL_MM * jnp.maximum(1.0 - bare - ict.hair, 0.0) * bumps
    return smooth, smooth + bumps[:, None] * vertex_normals(smooth, ict.subdivision.triangles)


def _pose(key, yaw, front_mm, *, size):
    """The front of the face in the middle, two thirds of the picture's height; a few degrees of pitch and roll."""
    pitch, roll = 0.06 * jax.random.uniform(key, (2,), minval=-1.0)
    nod = rotation_matrix(jnp.stack([pitch, 0.0 * yaw, roll]))
    rotation = matmul(nod, rotation_matrix(yaw * jnp.array([0.0, 1.0, 0.0])))
    turned = matmul(front_mm, rotation.T)[:, :2]
    low, high = jnp.min(turned, axis=0), jnp.max(turned, axis=0)
    scale = 0.66 * size / (high[1] - low[1])
    middle = 0.5 * (low + high) * scale * jnp.array([1.0, -1.0])
    return Pose(rotation_vector(rotation), jnp.array([0.5, 0.53]) * size - middle, jnp.log(scale))
