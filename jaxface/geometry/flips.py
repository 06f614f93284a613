"""Displacement along the normals of a mesh without folds."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

LEAST_COSINE = 0.2  # between a triangle's normal before and after
SHRINKING_ROUNDS = 64


def shrink_flips(
    base_mm: Float[Array, "vertices 3"],
    normals: Float[Array, "vertices 3"],
    displacement_mm: Float[Array, "vertices"],
    triangles: Int[Array, "faces 3"],
) -> Float[Array, "vertices"]:
    """Halves the displacement around triangles that would tilt too far, until none does; all 0 if that never ends."""
    before = _face_normals(base_mm, triangles)
    lengths = jnp.linalg.norm(before, axis=1)

    def too_far(displacement_mm):
        after = _face_normals(base_mm + displacement_mm[:, None] * normals, triangles)
        return jnp.sum(before * after, axis=1) < LEAST_COSINE * lengths * jnp.linalg.norm(after, axis=1)

    def shrink(state):
        displacement_mm, bad, rounds = state
        factor = jnp.repeat(jnp.where(bad, 0.5, 1.0), 3)
        displacement_mm = displacement_mm * jnp.ones_like(displacement_mm).at[triangles.reshape(-1)].min(factor)
        return displacement_mm, too_far(displacement_mm), rounds + 1

    start = displacement_mm, too_far(displacement_mm), jnp.int32(0)
    shrunk, bad, _ = jax.lax.while_loop(lambda s: jnp.any(s[1]) & (s[2] < SHRINKING_ROUNDS), shrink, start)
    return jnp.where(jnp.any(bad), 0.0, shrunk)


def _face_normals(vertices, triangles) -> Float[Array, "faces 3"]:
    corners = vertices[triangles]
    return jnp.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
