"""Regions of the face on the image grid: soft indicators, mean colours in albedo units, and the skin mask."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.imaging.filters import gaussian_blur, luminance
from jaxface.numerics import masked_median, matmul

# A residual this many robust deviations from the prediction is hair, glasses, shadow or shine, not skin.
OUTLIER_DEVIATIONS = 3.0
# Floor of that deviation: log-luminance and chromaticity spread of clean skin under a fitted light.
LUMINANCE_SPREAD = 0.17
CHROMA_SPREAD = 0.02
# How far patches that are not skin eat into their surroundings.
SPREADING = 3.0


def mean_albedo(
    image: Float[Array, "height width 3"],
    shading: Float[Array, "height width 3"],
    indicators: Float[Array, "height width regions"],
    *,
    confidence: Float[Array, "height width"],
) -> Float[Array, "height width 3"]:
    """gamma_avg of Jin et al. (2021) Eq. 6: each region's mean colour over its mean shading, blended softly.

    Departs from print: the paper's mean skin colour is divided by the mean shading, so that it is an albedo.
    """
    flat = (indicators * confidence[..., None]).reshape(-1, indicators.shape[-1])
    colours = matmul(flat.T, image.reshape(-1, 3)) + 1e-6
    shades = matmul(flat.T, shading.reshape(-1, 3)) + 1e-6
    per_region = jnp.clip(colours / jnp.maximum(shades, 1e-6), 0.01, 4.0)
    share = indicators / jnp.maximum(jnp.sum(indicators, axis=-1, keepdims=True), 1e-6)
    return matmul(share, per_region)


def _masked_spread(values: Array, mask: Array) -> tuple[Array, Array]:
    """Median and 1.4826 MAD of the values where the mask exceeds one half."""
    kept = mask > 0.5
    centre = jnp.nan_to_num(masked_median(values, kept))
    return centre, 1.4826 * jnp.nan_to_num(masked_median(jnp.abs(values - centre), kept))


def _inlier(values: Array, mask: Array, floor: float) -> Array:
    """1 near the median, falling smoothly to 0 past OUTLIER_DEVIATIONS robust deviations."""
    centre, spread = _masked_spread(values, mask)
    distance = jnp.abs(values - centre) / (OUTLIER_DEVIATIONS * jnp.maximum(spread, floor))
    return jnp.clip(2.0 - distance, 0.0, 1.0)


def skin_confidence(
    image: Float[Array, "height width 3"],
    predicted: Float[Array, "height width 3"],
    *,
    mask: Float[Array, "height width"],
    sigma: float,
) -> Float[Array, "height width"]:
    """How far each pixel looks like the lit skin that the model predicts: hair, glasses and nostrils fall to 0.

    Compares log-luminance and chromaticity, both smoothed over `sigma` pixels so that pores and wrinkles survive.
    """
    seen, expected = (gaussian_blur(x, sigma=sigma) + 0.02 for x in (image, jnp.maximum(predicted, 0.0)))
    brightness = _inlier(jnp.log(luminance(seen)) - jnp.log(luminance(expected)), mask, LUMINANCE_SPREAD)
    chroma = jnp.linalg.norm(
        seen / jnp.sum(seen, axis=-1, keepdims=True) - expected / jnp.sum(expected, axis=-1, keepdims=True), axis=-1
    )
    foreign = 1.0 - brightness * _inlier(chroma, mask, CHROMA_SPREAD)
    # Hair and frames cast their edge onto the skin beside them; lone pixels leave it alone.
    return mask * jnp.clip(1.0 - SPREADING * gaussian_blur(foreign * jnp.sign(mask), sigma=2.0 * sigma), 0.0, 1.0)
