"""Heads that can be photographed: whatever their topology, our synthetic world paints and creases them.

Relief and paint are functions of a point on the default model's mean face, which every fine vertex of a head knows.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jaxface.geometry.normals import vertex_normals
from jaxface.geometry.subdivision import Subdivision, subdivide
from jaxface.morphable.linear import landmark_positions
from jaxface.numerics import normalise
from jaxface.rendering.camera import orthographic, project
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import shading
from jaxface.rendering.raster import draw, visibility
from jaxface.synthetic_fields import relief
from jaxface.synthetic_paint import backdrop, paint_face
from jaxface.types import NUM_LANDMARKS, Landmarks, MorphableModel, Pose, Region

DETAIL_MM = 0.5  # depth of the deepest creases
_HAIR = (0.16, 0.11, 0.08)


class LandmarkPlaces(NamedTuple):
    """Rows among MediaPipe's points, and where these lie: three vertices each, and their weights."""

    rows: np.ndarray
    corners: np.ndarray
    weights: np.ndarray


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Head:
    """A face model and what was prepared for photographs; fine vertices are those of the subdivided mesh."""

    neutral_mm: jax.Array
    identity_mm: jax.Array
    expression_mm: jax.Array
    landmarks: LandmarkPlaces
    subdivision: Subdivision
    reference_mm: jax.Array  # fine vertices on the default model's mean face
    regions: jax.Array  # fine vertices' shares of each label
    excluded: jax.Array
    hair: jax.Array
    expression_names: tuple[str, ...] = dataclasses.field(metadata={"static": True})


class Look(NamedTuple):
    """What a photograph shows besides shape and light: keys of paint, of what is behind and of the camera's noise,
    and the size of that noise and of the highlight's peak."""

    paint: PRNGKeyArray
    behind: PRNGKeyArray
    noise: PRNGKeyArray
    noise_size: float | jax.Array
    shine: float | jax.Array = 0.0


class Photograph(NamedTuple):
    """A picture, its surface in image pixels, and the head's landmarks there (rows of its own), 1 where seen."""

    image: jax.Array
    vertices_px: jax.Array
    points_px: jax.Array
    seen: jax.Array


def bumps_mm(key: PRNGKeyArray, head: Head, model: MorphableModel) -> Float[Array, "fine_vertices"]:
    """Wrinkles, folds and pores along the normal, none on eyes, mouth and hair; `model` is the default one."""
    regions = head.regions
    bare = regions[:, Region.EYE_OPENING] + regions[:, Region.MOUTH_OPENING] + 0.7 * regions[:, Region.MOUTH]
    bumps = relief(key, head.reference_mm, landmark_positions(model.mean_mm, model=model))
    return DETAIL_MM * jnp.maximum(1.0 - bare - head.hair, 0.0) * bumps


def refine(control_mm: Array, bumps: Array, head: Head) -> tuple[Array, Array]:
    """The fine mesh of a shape in object millimetres, smooth and with its relief."""
    smooth = subdivide(control_mm, subdivision=head.subdivision)
    return smooth, smooth + bumps[:, None] * vertex_normals(smooth, head.subdivision.triangles)


def photograph(
    vertices_mm: Array,
    framed_mm: Array,
    pose: Pose,
    light: Float[Array, "9 3"],
    look: Look,
    head: Head,
    model: MorphableModel,
    *,
    size: int,
) -> Photograph:
    """A square picture of fine vertices; hair and neck are painted around the points `framed_mm`, and `model`, the
    default one, tells the skin's colour."""
    triangles = head.subdivision.triangles
    place = functools.partial(project, pose=pose, camera=orthographic())
    projected, framed = place(vertices_mm), place(framed_mm)
    columns = jnp.concatenate([head.reference_mm, head.regions, head.hair[:, None]], axis=1)
    raster, normals, seen = draw(projected, triangles, columns, size=size)
    mask = (raster.triangle >= 0).astype(jnp.float32)[..., None]
    normals, rows = normalise(normals), seen.reshape(size * size, -1)
    mean_landmarks = landmark_positions(model.mean_mm, model=model)
    albedo = paint_face(
        look.paint, rows[:, :3], jnp.clip(rows[:, 3:-1], 0.0, 1.0),
        landmarks_mm=mean_landmarks, model=model, texture=1.0,
    ).reshape(size, size, 3)  # fmt: skip
    skin = jnp.median(albedo.reshape(-1, 3), axis=0)
    albedo = albedo + seen[..., -1:] * (jnp.array([[_HAIR]]) - albedo)
    low, high = jnp.min(framed[:, :2], axis=0), jnp.max(framed[:, :2], axis=0)
    behind = backdrop(look.behind, size=size, centre_px=0.5 * (low + high), face_size_px=high - low, skin=skin)
    lit = render(albedo, shading(normals, light), look.shine * _lobe(normals, light))
    image = jnp.where(mask > 0, lit, behind)
    image = jnp.clip(image + look.noise_size * jax.random.normal(look.noise, image.shape), 0.0, 1.0)
    points = jnp.sum(head.landmarks.weights[..., None] * projected[head.landmarks.corners], axis=1)
    return Photograph(image, projected, points, visibility(points, raster, tolerance_px=2.0))


def to_landmarks(points: Array, seen: Array, places: LandmarkPlaces) -> Landmarks:
    """A head's landmarks at their MediaPipe rows; those that it lacks have confidence 0."""
    points_px, height_px, confidence = np.zeros((NUM_LANDMARKS, 2)), np.zeros(NUM_LANDMARKS), np.zeros(NUM_LANDMARKS)
    points_px[places.rows], height_px[places.rows] = points[:, :2], points[:, 2]
    confidence[places.rows] = seen
    return Landmarks(*(jnp.asarray(x, jnp.float32) for x in (points_px, height_px, confidence)))


def _lobe(normals, light):
    """Blinn and Phong's highlight about the light's brightest direction, peak 1."""
    towards = normalise(jnp.mean(light, axis=1)[jnp.array([3, 1, 2])])
    half = normalise(towards + jnp.array([0.0, 0.0, 1.0]))
    return jnp.maximum(jnp.sum(normals * half[None, None], axis=-1), 0.0) ** 18
