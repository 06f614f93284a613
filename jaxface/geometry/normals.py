"""Unit normals of meshes (in the frame of their vertices) and of depth maps (image frame)."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxface.numerics import normalise


def vertex_normals(
    vertices: Float[Array, "vertices 3"], triangles: Int[Array, "faces 3"]
) -> Float[Array, "vertices 3"]:
    """Area-weighted vertex normals; they point to where the triangles appear counter-clockwise.

    A vertex without area around it gets the zero vector.
    """
    corners = vertices[triangles]
    # Twice the area times the unit normal: the weighting comes for free.
    face_normals = jnp.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    spread = jnp.repeat(face_normals, 3, axis=0)
    return normalise(jnp.zeros_like(vertices).at[triangles.reshape(-1)].add(spread), eps=1e-20)


def depth_normals(height_px: Float[Array, "height width"]) -> Float[Array, "height width 3"]:
    """Image-frame normals (-dh/dx, -dh/dy, 1) / norm by central differences, one-sided at the border."""
    dy, dx = jnp.gradient(height_px)
    z = 1.0 / jnp.sqrt(1.0 + dx * dx + dy * dy)
    return jnp.stack([-dx * z, -dy * z, z], axis=-1)
