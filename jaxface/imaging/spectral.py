"""A diagonal preconditioner in Fourier space for surfaces seen through their slopes."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def precondition(
    u: Float[Array, "height width"], *, cutoff: float = 0.01, bending: float = 0.0
) -> Float[Array, "height width"]:
    """K u with K = (cutoff + f^2 + bending f^4)^(-1/2): an energy of slopes, and of their changes if these weigh
    `bending` times as much, becomes nearly round in u, at any resolution.

    f is in radians per pixel; below the root of `cutoff` all wavelengths are treated alike.
    """
    height, width = u.shape
    fy = 2.0 * jnp.pi * jnp.fft.fftfreq(height)[:, None]
    fx = 2.0 * jnp.pi * jnp.fft.rfftfreq(width)[None, :]
    squared = fy**2 + fx**2
    response = 1.0 / jnp.sqrt(cutoff + squared + bending * squared**2)
    return jnp.fft.irfft2(jnp.fft.rfft2(u) * response, s=u.shape)
