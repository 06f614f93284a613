"""Painted pictures of a model's mean face, plausible enough for a landmark detector."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxface.morphable.pose import rotation_matrix, rotation_vector
from jaxface.numerics import matmul, normalise
from jaxface.rendering.camera import orthographic, project
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import shading
from jaxface.rendering.raster import draw
from jaxface.synthetic import preset_light
from jaxface.synthetic_paint import backdrop
from jaxface.types import Pose, Raster

SIZE = 512
_FILL = 0.66  # of the picture's height for the face, which is _FACE_MM high
_FACE_MM = 190.0
_MIDDLE = (0.5, 0.52)  # of the picture, for the middle of the face
_SIDEWAYS = (3, 4, 7)  # what is odd in x of `lighting.sh_basis`: a light from one side makes a detector lean there


class View(NamedTuple):
    """Where a picture is taken from: turn and nod of the head in radians, a light of `synthetic.preset_light`."""

    yaw: float
    pitch: float
    light: str


FRONTAL = View(0.0, 0.0, "soft")


class Sitter(NamedTuple):
    """A mesh to be photographed; `centre_mm` comes to the picture's middle."""

    triangles: Int[np.ndarray, "faces 3"]
    centre_mm: Float[np.ndarray, "3"]


class Portrait(NamedTuple):
    """A picture, and what each of its pixels sees of the mesh."""

    image: Float[np.ndarray, "size size 3"]
    raster: Raster
    vertices_px: Float[Array, "vertices 3"]


def take(
    vertices_mm: Float[np.ndarray, "vertices 3"],
    colours: Float[np.ndarray, "vertices 3"],
    view: View,
    *,
    sitter: Sitter,
) -> Portrait:
    """A picture of one shape of the mesh, before a wall, with hair and shoulders."""
    vertices_px = locate(vertices_mm, view, centre_mm=sitter.centre_mm)
    light = preset_light(view.light).at[jnp.array(_SIDEWAYS)].set(0.0)
    image, raster = _draw(vertices_px, jnp.asarray(sitter.triangles), jnp.asarray(colours), light)
    return Portrait(np.asarray(image), raster, vertices_px)


def locate(
    points_mm: Float[np.ndarray, "points 3"], view: View, *, centre_mm: Float[np.ndarray, "3"]
) -> Float[Array, "points 3"]:
    """Where points appear in the picture of that view, and their heights (pixels)."""
    return _project(jnp.asarray(points_mm - centre_mm, jnp.float32), jnp.float32(view.yaw), jnp.float32(view.pitch))


@jax.jit
def _project(points_mm, yaw, pitch):
    turn = rotation_matrix(yaw * jnp.array([0.0, 1.0, 0.0]))
    nod = rotation_matrix(pitch * jnp.array([1.0, 0.0, 0.0]))
    pose = Pose(rotation_vector(matmul(nod, turn)), jnp.array(_MIDDLE) * SIZE, jnp.log(_FILL * SIZE / _FACE_MM))
    return project(points_mm, pose, camera=orthographic())


@jax.jit
def _draw(vertices_px, triangles, colours, light):
    raster, normals, seen = draw(vertices_px, triangles, colours, size=SIZE)
    lit = render(seen, shading(normalise(normals), light))
    behind = backdrop(
        jax.random.key(0), size=SIZE, centre_px=jnp.array(_MIDDLE) * SIZE,
        face_size_px=jnp.array([0.75, 1.0]) * _FILL * SIZE, skin=jnp.median(colours, axis=0),
    )  # fmt: skip
    return jnp.clip(jnp.where((raster.triangle >= 0)[..., None], lit, behind), 0.0, 1.0), raster
