"""Light, mean albedo, skin and highlights of a crop before its surface moves, Jin et al. (2021) Sec. 3.4."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.imaging import regions
from jaxface.imaging.filters import erode, gaussian_blur, luminance, masked_blur
from jaxface.rendering.lighting import estimate_light, shading
from jaxface.types import FineInputs

# What exceeds the mean residual this many times is shine; less is left to the height map, which it would starve.
_SHINE_DEVIATIONS = 3.0
# Of the crop's side: over this length the skin's shading is continued into eyes, lips and hair.
_CONTINUATION = 0.03


class Appearance(NamedTuple):
    """Light, gamma_avg of Eq. 6, the albedo to start from, and the soft mask of skin in [0, 1]."""

    light: Float[Array, "9 3"]
    mean_albedo: Float[Array, "height width 3"]
    albedo: Float[Array, "height width 3"]
    mask: Float[Array, "height width"]


def light_from_texture(inputs: FineInputs, normals_image: Float[Array, "height width 3"]) -> Appearance:
    """Light by least squares (Eqs. 4, 5 with epsilon = 0) on the model's mean texture, which starts the albedo too."""
    prior = erode(inputs.prior)
    light = estimate_light(inputs.image, inputs.albedo, normals_image, confidence=prior)
    mean = regions.mean_albedo(inputs.image, shading(normals_image, light), inputs.indicators, confidence=prior)
    return Appearance(light, mean, inputs.albedo, prior)


def light_on_skin(inputs: FineInputs, normals_image: Float[Array, "height width 3"], *, sigma: float) -> Appearance:
    """The same twice: with the mean texture, then with the regions' mean colours on what proved to be skin (ours).

    `sigma` (pixels) is the scale at which skin is told from hair, glasses and shadow; the albedo starts at gamma_avg.
    """
    _, mean, _, prior = first = light_from_texture(inputs, normals_image)
    predicted = mean * shading(normals_image, first.light)
    mask = regions.skin_confidence(inputs.image, predicted, mask=prior, sigma=sigma)
    light = estimate_light(inputs.image, mean, normals_image, confidence=mask)
    mean = regions.mean_albedo(inputs.image, shading(normals_image, light), inputs.indicators, confidence=mask)
    return Appearance(light, mean, mean, mask)


def residual_highlights(
    image: Float[Array, "height width 3"], diffuse: Float[Array, "height width 3"], mask: Float[Array, "height width"]
) -> tuple[Float[Array, "height width 3"], Float[Array, "height width 3"]]:
    """The specular map starts at 0, and beta_0 of Eq. 8 is what the diffuse image leaves of the photo."""
    return jnp.zeros_like(image), (image - diffuse) * mask[..., None]


def smooth_highlights(
    image: Float[Array, "height width 3"],
    diffuse: Float[Array, "height width 3"],
    mask: Float[Array, "height width"],
    *,
    sigma: float,
) -> tuple[Float[Array, "height width 3"], Float[Array, "height width 3"]]:
    """beta_0 of Eq. 8 as a grey, smooth, non-negative map (`sigma` pixels), which is the specular map too.

    Departs from print: with beta_0 the raw residual, Eq. 8's minimiser is the residual itself, I' equals I and no
    signal is left for the height map; so this estimate is used as it stands.
    """
    residual = masked_blur(luminance(image - diffuse), mask, sigma=sigma)
    ordinary = jnp.sum(mask * jnp.abs(residual)) / jnp.maximum(jnp.sum(mask), 1e-6)
    shine = jax.nn.relu(residual - _SHINE_DEVIATIONS * ordinary) * mask
    specular = jnp.broadcast_to(shine[..., None], image.shape)
    return specular, specular


def continue_albedo(
    image: Float[Array, "height width 3"],
    albedo: Float[Array, "height width 3"],
    shade: Float[Array, "height width 3"],
    mask: Float[Array, "height width"],
) -> Float[Array, "height width 3"]:
    """Beyond the skin mask, where eyes, lips, hair and glasses are, the albedo is what the skin's own shading, smoothly
    continued, leaves of the photo; the shading of a surface that is not there would leave bright and dark rims. Without
    any skin the albedo stays as it is."""
    weight = mask[..., None]
    continued = masked_blur(shade, mask, sigma=_CONTINUATION * image.shape[0])
    mean = jnp.sum(weight * shade, axis=(0, 1), keepdims=True) / jnp.maximum(jnp.sum(mask), 1e-6)
    continued = jnp.where(continued > 0.25 * mean, continued, jnp.maximum(mean, 0.05))
    blended = weight * albedo + (1.0 - weight) * jnp.clip(image / continued, 0.0, 1.0)
    return jnp.where(jnp.any(mask > 0.0), blended, albedo)


def fill_outside(
    height_px: Float[Array, "height width"], covered: Float[Array, "height width"]
) -> Float[Array, "height width"]:
    """Extends a surface past its edge, near values first: a zero-filled outside would bend the rim's normals."""
    for sigma in (1.5, 4.0, 12.0):
        known = jnp.where(gaussian_blur(covered, sigma=sigma) > 1e-3, 1.0, 0.0)
        height_px = jnp.where(covered > 0, height_px, masked_blur(height_px, covered, sigma=sigma))
        covered = jnp.maximum(covered, known)
    floor = jnp.min(jnp.where(covered > 0, height_px, jnp.inf))
    return jnp.where(covered > 0, height_px, jnp.where(jnp.isfinite(floor), floor, 0.0))
