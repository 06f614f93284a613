"""Relative total variation, Jin et al. (2021) Eq. 7 after Xu et al. (2012)."""

import functools

import jax
from jaxtyping import Array, Float

from jaxface.imaging.filters import difference_x, difference_y, forward_masks, gaussian_blur
from jaxface.numerics import smooth_abs

# Both in image units (0 to 1). Below EPS / 3 Adam bounces, above 3 EPS the term fades out (measured).
EPS = 0.1 / 255.0
ETA = 1e-5


def _ratio(step: Array, sigma: float) -> Array:
    """G * |delta| / (|G * delta| + eps): 0 on flat ground, about 1 at an edge, large on texture."""
    total = gaussian_blur(smooth_abs(step, eta=ETA), sigma=sigma)
    inherent = gaussian_blur(step, sigma=sigma)
    return total / (smooth_abs(inherent, eta=ETA) + EPS)


def relative_total_variation(
    albedo: Float[Array, "height width *channels"], mask: Float[Array, "height width"], *, sigma: float
) -> Float[Array, "height width *channels"]:
    """RTV_x + RTV_y per pixel, Jin et al. (2021) Eq. 7, from differences whose two pixels lie inside `mask`.

    Departs from print: Eq. 7 has no epsilon (0/0 on flat ground), |.| is smoothed, and the unstated window R is a
    Gaussian of `sigma` pixels (static).
    """
    if albedo.ndim == 3:
        # One plane at a time: interleaved channels keep XLA on CPU from vectorising the blur.
        plane = functools.partial(relative_total_variation, sigma=sigma)
        return jax.vmap(plane, in_axes=(-1, None), out_axes=-1)(albedo, mask)
    mask_x, mask_y = forward_masks(mask)
    return _ratio(difference_x(albedo) * mask_x, sigma) + _ratio(difference_y(albedo) * mask_y, sigma)
