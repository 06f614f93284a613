"""Head rotation as an axis-angle vector (radians): the rotational half of the 6-DOF pose of Sec. 3.2."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.numerics import matmul

_SMALL = 1e-6  # squared angle below which the series is exact in float32


def rotation_matrix(rotation_vector: Float[Array, "3"]) -> Float[Array, "3 3"]:
    """Rodrigues' formula, R = I + (sin a / a) K + ((1 - cos a) / a^2) K^2; smooth everywhere, 0 included."""
    squared = jnp.sum(rotation_vector * rotation_vector)
    # Both branches of a `where` are differentiated: the unused one must be finite too.
    safe = jnp.where(squared < _SMALL, 1.0, squared)
    angle = jnp.sqrt(safe)
    half_sine = jnp.sin(0.5 * angle)
    sine_ratio = jnp.where(squared < _SMALL, 1.0 - squared / 6.0, jnp.sin(angle) / angle)
    cosine_ratio = jnp.where(squared < _SMALL, 0.5 - squared / 24.0, 2.0 * half_sine * half_sine / safe)
    cross = _cross_matrix(rotation_vector)
    return jnp.eye(3, dtype=jnp.float32) + sine_ratio * cross + cosine_ratio * matmul(cross, cross)


def rotation_vector(matrix: Float[Array, "3 3"]) -> Float[Array, "3"]:
    """Inverse of `rotation_matrix`, with an angle in [0, pi]; through the unit quaternion (w, x, y, z)."""
    w, *xyz = _quaternion(matrix)
    axis = jnp.stack(xyz)
    squared = jnp.sum(axis * axis)
    safe = jnp.where(squared < _SMALL, 1.0, squared)
    sine = jnp.sqrt(safe)
    ratio = jnp.where(squared < _SMALL, 2.0 + squared / 3.0, 2.0 * jnp.arctan2(sine, w) / sine)
    return ratio * axis


def _cross_matrix(v: Float[Array, "3"]) -> Float[Array, "3 3"]:
    zero = jnp.zeros_like(v[0])
    return jnp.array([[zero, -v[2], v[1]], [v[2], zero, -v[0]], [-v[1], v[0], zero]])


def _quaternion(m: Float[Array, "3 3"]) -> Float[Array, "4"]:
    """Unit quaternion with w >= 0. Row k below is 4 q_k q; the row of the largest q_k is safe to divide."""
    trace = m[0, 0] + m[1, 1] + m[2, 2]
    x, y, z = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    xy, xz, yz = m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1]
    rows = jnp.array(
        [
            [1.0 + trace, x, y, z],
            [x, 1.0 - trace + 2.0 * m[0, 0], xy, xz],
            [y, xy, 1.0 - trace + 2.0 * m[1, 1], yz],
            [z, xz, yz, 1.0 - trace + 2.0 * m[2, 2]],
        ]
    )
    row = rows[jnp.argmax(jnp.diagonal(rows))]
    quaternion = row / jnp.sqrt(jnp.sum(row * row))
    return jnp.where(quaternion[0] < 0.0, -quaternion, quaternion)
