"""A diagonal preconditioner in Fourier space for surfaces seen through their slopes."""

import jax.numpy as jnp
from jaxtyping import Array, Float

# Squared frequency (radians per pixel) below which all wavelengths are treated alike.
CUTOFF = 0.01


def precondition(u: Float[Array, "height width"]) -> Float[Array, "height width"]:
    """K u with K = (CUTOFF + f^2)^(-1/2): an energy of slopes becomes nearly round in u, at any resolution."""
    height, width = u.shape
    fy = 2.0 * jnp.pi * jnp.fft.fftfreq(height)[:, None]
    fx = 2.0 * jnp.pi * jnp.fft.rfftfreq(width)[None, :]
    response = 1.0 / jnp.sqrt(CUTOFF + fy**2 + fx**2)
    return jnp.fft.irfft2(jnp.fft.rfft2(u) * response, s=u.shape)
