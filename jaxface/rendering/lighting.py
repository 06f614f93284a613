"""Spherical-harmonics light, Jin et al. (2021) Eqs. 4 and 5; normals in the image frame."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.numerics import matmul

NUM_BANDS = 9
# Relative to the mean of the normal matrix's diagonal: keeps unlit directions finite without bias elsewhere.
RIDGE = 1e-4
ROBUST_STEPS = 4


def sh_basis(normals_image: Float[Array, "*batch 3"]) -> Float[Array, "*batch 9"]:
    """Y_k(n) of Eq. 5: real spherical harmonics up to order 2, orthonormal on the sphere (m = 9)."""
    return jnp.stack(_sh_planes(normals_image), axis=-1)


def _sh_planes(normals_image: Float[Array, "*batch 3"]) -> list[Float[Array, "*batch"]]:
    x, y, z = normals_image[..., 0], normals_image[..., 1], normals_image[..., 2]
    return [
        jnp.full_like(x, 0.282095),
        0.488603 * y,
        0.488603 * z,
        0.488603 * x,
        1.092548 * x * y,
        1.092548 * y * z,
        0.315392 * (3.0 * z * z - 1.0),
        1.092548 * x * z,
        0.546274 * (x * x - y * y),
    ]


def shading(normals_image: Float[Array, "*batch 3"], light: Float[Array, "9 3"]) -> Float[Array, "*batch 3"]:
    """S(n) of Eq. 5, one set of coefficients a colour channel."""
    # Sums of planes fuse into one pass; the product of `sh_basis` with `light` is four times as slow on CPU.
    planes = _sh_planes(normals_image)
    channels = [sum(light[k, c] * plane for k, plane in enumerate(planes)) for c in range(3)]
    return jnp.stack(channels, axis=-1)


def _solve_light(rows: Array, target: Array, weights: Array) -> Array:
    """Weighted ridge least squares for one channel: rows (pixels, 9), target (pixels,), weights (pixels,)."""
    weighted = rows * weights[:, None]
    normal = matmul(weighted.T, rows)
    ridge = (RIDGE * jnp.trace(normal) / NUM_BANDS + 1e-8) * jnp.eye(NUM_BANDS)
    return jnp.linalg.solve(normal + ridge, matmul(weighted.T, target))


def estimate_light(
    image: Float[Array, "height width 3"],
    albedo: Float[Array, "height width 3"],
    normals_image: Float[Array, "height width 3"],
    *,
    confidence: Float[Array, "height width"],
) -> Float[Array, "9 3"]:
    """Light coefficients r of Eq. 5 by least squares on Eq. 4 with epsilon = 0, three channels apart.

    Pixels count by `confidence`; iterative reweighting (Cauchy, scale from the weighted mean absolute residual) lets go
    of cast shadows and highlights.
    """
    basis = sh_basis(normals_image).reshape(-1, NUM_BANDS)
    base = confidence.reshape(-1)

    def channel(target, gamma):
        rows = basis * gamma[:, None]

        def step(weights, _):
            light = _solve_light(rows, target, weights)
            residual = target - matmul(rows, light)
            scale = jnp.sum(base * jnp.abs(residual)) / jnp.maximum(jnp.sum(base), 1e-6) + 1e-4
            return base / (1.0 + (residual / (2.0 * scale)) ** 2), light

        _, lights = jax.lax.scan(step, base, None, length=ROBUST_STEPS)
        return lights[-1]

    return jax.vmap(channel, in_axes=-1, out_axes=-1)(image.reshape(-1, 3), albedo.reshape(-1, 3))
