"""Linear filters and finite differences on (height, width, ...) images, in pixel units."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def gaussian_kernel(*, sigma: float) -> np.ndarray:
    """Normalised Gaussian taps, cut at 3 sigma; `sigma` in pixels."""
    radius = math.ceil(3 * sigma)
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return (taps / taps.sum()).astype(np.float32)


# Above this radius unrolled adds compile slowly and a dense matrix product is as quick.
_UNROLLED_RADIUS = 10


def _correlate(image: Array, taps: np.ndarray, axis: int) -> Array:
    """Shifted adds: XLA fuses them into one pass, which beats its convolutions and FFTs on CPU."""
    radius, size = len(taps) // 2, image.shape[axis]
    if radius > _UNROLLED_RADIUS:
        matrix = sum(tap * np.eye(size, k=k - radius, dtype=np.float32) for k, tap in enumerate(taps))
        product = jnp.tensordot(matrix, image, axes=(1, axis), precision=jax.lax.Precision.HIGHEST)
        return jnp.moveaxis(product, 0, axis)
    widths = [(radius, radius) if k == axis else (0, 0) for k in range(image.ndim)]
    # The barrier makes XLA compute the input once instead of once a tap.
    padded = jax.lax.optimization_barrier(jnp.pad(image, widths))
    parts = [float(tap) * jax.lax.slice_in_dim(padded, k, k + size, axis=axis) for k, tap in enumerate(taps)]
    return jnp.asarray(sum(parts))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _blur(image: Array, sigma: float) -> Array:
    taps = gaussian_kernel(sigma=sigma)
    return _correlate(_correlate(image, taps, 0), taps, 1)


# A symmetric zero-padded blur is its own transpose.
_blur.defvjp(lambda image, sigma: (_blur(image, sigma), None), lambda sigma, _, cotangent: (_blur(cotangent, sigma),))


def gaussian_blur(
    image: Float[Array, "height width *channels"], *, sigma: float
) -> Float[Array, "height width *channels"]:
    """Separable Gaussian blur, zero outside the image; `sigma` in pixels, static."""
    return _blur(image, sigma)


def masked_blur(
    image: Float[Array, "height width *channels"], mask: Float[Array, "height width"], *, sigma: float
) -> Float[Array, "height width *channels"]:
    """Normalised convolution: the blur of what the mask keeps; zero where nothing is kept within reach."""
    weight = mask.reshape(mask.shape + (1,) * (image.ndim - 2))
    return gaussian_blur(image * weight, sigma=sigma) / jnp.maximum(gaussian_blur(weight, sigma=sigma), 1e-6)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _difference(image: Array, axis: int) -> Array:
    part = functools.partial(jax.lax.slice_in_dim, image, axis=axis)
    return jnp.concatenate([part(1, None) - part(0, -1), jnp.zeros_like(part(0, 1))], axis=axis)


def _difference_transpose(axis: int, _: None, cotangent: Array) -> tuple[Array]:
    """Written out, since the derived one pads, which keeps XLA on CPU from vectorising what it fuses with."""
    part = functools.partial(jax.lax.slice_in_dim, cotangent, axis=axis)
    return (jnp.concatenate([-part(0, 1), part(0, -2) - part(1, -1), part(-2, -1)], axis=axis),)


_difference.defvjp(lambda image, axis: (_difference(image, axis), None), _difference_transpose)


def difference_x(image: Float[Array, "height width *channels"]) -> Float[Array, "height width *channels"]:
    """Forward difference along x (columns), zero in the last column."""
    return _difference(image, 1)


def difference_y(image: Float[Array, "height width *channels"]) -> Float[Array, "height width *channels"]:
    """Forward difference along y (rows), zero in the last row."""
    return _difference(image, 0)


def laplace(image: Float[Array, "height width"]) -> Float[Array, "height width"]:
    """Five-point Laplace operator with replicated borders."""
    p = jnp.pad(image, 1, mode="edge")
    return p[1:-1, 2:] + p[1:-1, :-2] + p[2:, 1:-1] + p[:-2, 1:-1] - 4.0 * image


def erode(mask: Float[Array, "height width"]) -> Float[Array, "height width"]:
    """Product over a pixel and its 4 neighbours: where central differences and the Laplace operator may be trusted."""
    p = jnp.pad(mask, 1)
    return mask * p[1:-1, 2:] * p[1:-1, :-2] * p[2:, 1:-1] * p[:-2, 1:-1]


def forward_masks(
    mask: Float[Array, "height width"],
) -> tuple[Float[Array, "height width"], Float[Array, "height width"]]:
    """Where forward differences along x and y have both their pixels inside the mask."""
    right = jnp.pad(mask[:, 1:], ((0, 0), (0, 1)))
    below = jnp.pad(mask[1:], ((0, 1), (0, 0)))
    return mask * right, mask * below


def luminance(image: Float[Array, "*pixels 3"]) -> Float[Array, "*pixels"]:
    """Rec. 601 luma of the colours as stored."""
    return 0.299 * image[..., 0] + 0.587 * image[..., 1] + 0.114 * image[..., 2]


def sample(
    image: Float[Array, "height width channels"], places_px: Float[Array, "points 2"]
) -> Float[Array, "points channels"]:
    """Bilinear values at (x, y), pixel centres at integers; beyond the border its pixels are repeated."""
    rows = [places_px[:, 1], places_px[:, 0]]
    read = jax.vmap(lambda channel: jax.scipy.ndimage.map_coordinates(channel, rows, order=1, mode="nearest"))
    return read(jnp.moveaxis(image, -1, 0)).T
