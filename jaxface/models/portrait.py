"""Painted pictures of a model's mean face, plausible enough for a landmark detector."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxface.geometry.normals import vertex_normals
from jaxface.morphable.pose import rotation_matrix
from jaxface.numerics import matmul, normalise
from jaxface.rendering.camera import orthographic, project
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import shading
from jaxface.rendering.raster import interpolate, rasterise
from jaxface.synthetic import preset_light
from jaxface.synthetic_paint import backdrop
from jaxface.types import Pose, Raster

SIZE = 512
_FILL = 0.66  # of the picture's height for the face, which is FACE_MM high
FACE_MM = 190.0


class View(NamedTuple):
    """Where a picture is taken from: turn and nod of the head in radians, a light of `synthetic.preset_light`."""

    yaw: float
    pitch: float
    light: str


class Portrait(NamedTuple):
    """A picture, and what each of its pixels sees of the mesh."""

    image: Float[np.ndarray, "size size 3"]
    raster: Raster
    vertices_px: Float[Array, "vertices 3"]


def take(
    vertices_mm: Float[Array, "vertices 3"],
    triangles: Int[Array, "faces 3"],
    colours: Float[Array, "vertices 3"],
    view: View,
    *,
    centre_mm: Float[np.ndarray, "3"],
) -> Portrait:
    """A picture of the mesh with `centre_mm` in its middle, before a wall, with hair and shoulders."""
    light = preset_light(view.light)
    image, raster, vertices_px = _draw(
        jnp.asarray(vertices_mm), jnp.asarray(triangles), jnp.asarray(colours), jnp.float32(view.yaw),
        jnp.float32(view.pitch), light, jnp.asarray(centre_mm, jnp.float32),
    )  # fmt: skip
    return Portrait(np.asarray(image), raster, vertices_px)


@jax.jit
def _draw(vertices_mm, triangles, colours, yaw, pitch, light, centre_mm):
    turn = rotation_matrix(yaw * jnp.array([0.0, 1.0, 0.0]))
    rotation = matmul(rotation_matrix(pitch * jnp.array([1.0, 0.0, 0.0])), turn)
    scale = _FILL * SIZE / FACE_MM
    turned = matmul(vertices_mm - centre_mm[None], rotation.T)
    pose = Pose(jnp.zeros(3), jnp.array([0.5 * SIZE, 0.52 * SIZE]), jnp.log(scale))
    vertices_px = project(turned, pose, camera=orthographic())
    raster = rasterise(vertices_px, triangles, height=SIZE, width=SIZE)
    values = jnp.concatenate([vertex_normals(turned, triangles) * jnp.array([[1.0, -1.0, 1.0]]), colours], axis=1)
    seen = interpolate(raster, values, triangles)
    lit = render(seen[..., 3:], shading(normalise(seen[..., :3]), light))
    face_px = jnp.array([0.75, 1.0]) * _FILL * SIZE
    behind = backdrop(
        jax.random.key(0), size=SIZE, centre_px=pose.translation_px, face_size_px=face_px,
        skin=jnp.median(colours, axis=0),
    )  # fmt: skip
    image = jnp.clip(jnp.where((raster.triangle >= 0)[..., None], lit, behind), 0.0, 1.0)
    return image, raster, vertices_px
