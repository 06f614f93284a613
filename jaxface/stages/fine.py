"""Fine stage, Jin et al. (2021) Sec. 3.4: light, albedo, specular, then the height map in two phases (Eqs. 4 to 9)."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.energies.albedo import albedo_energy
from jaxface.energies.depth import DepthWeights, depth_energy
from jaxface.energies.specular import specular_energy
from jaxface.geometry.normals import depth_normals
from jaxface.imaging import regions
from jaxface.imaging.filters import erode, gaussian_blur, luminance, masked_blur
from jaxface.imaging.spectral import precondition
from jaxface.presets import FineWeights, Schedule
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import estimate_light, shading
from jaxface.solvers.adam import Minimum, cosine_rates, minimise, minimise_in_turn
from jaxface.types import FineInputs, FineMaps

# What exceeds the mean residual this many times is shine; less is left to the height map, which it would starve.
_SHINE_DEVIATIONS = 3.0
# Of the crop's side: softness of the mask's rim.
_RIM = 0.006
# Of the crop's side: over this length the skin's shading is continued into eyes, lips and hair.
_CONTINUATION = 0.03


class Appearance(NamedTuple):
    """Light, albedo, specular and their mask before the height map moves."""

    light: Float[Array, "9 3"]
    mean_albedo: Float[Array, "height width 3"]
    albedo: Float[Array, "height width 3"]
    specular: Float[Array, "height width 3"]
    confidence: Float[Array, "height width"]


def fill_outside(
    height_px: Float[Array, "height width"], covered: Float[Array, "height width"]
) -> Float[Array, "height width"]:
    """Extends the surface past its edge, near values first: a zero-filled outside would bend the rim's normals."""
    for sigma in (1.5, 4.0, 12.0):
        known = jnp.where(gaussian_blur(covered, sigma=sigma) > 1e-3, 1.0, 0.0)
        height_px = jnp.where(covered > 0, height_px, masked_blur(height_px, covered, sigma=sigma))
        covered = jnp.maximum(covered, known)
    floor = jnp.min(jnp.where(covered > 0, height_px, jnp.inf))
    return jnp.where(covered > 0, height_px, jnp.where(jnp.isfinite(floor), floor, 0.0))


def estimate_appearance(inputs: FineInputs, normals_image: Array, *, schedule: Schedule) -> Appearance:
    """Light by least squares (Eqs. 4, 5 with epsilon = 0), region mean colours in albedo units, and the skin mask.

    The light is fitted twice: with the mean texture, then with the region colours on what proved to be skin.
    """
    prior = erode(inputs.prior)
    light = estimate_light(inputs.image, inputs.albedo, normals_image, confidence=prior)
    mean = regions.mean_albedo(inputs.image, shading(normals_image, light), inputs.indicators, confidence=prior)
    if schedule.literal:
        return Appearance(light, mean, inputs.albedo, jnp.zeros_like(mean), prior)
    predicted = mean * shading(normals_image, light)
    confidence = regions.skin_confidence(inputs.image, predicted, mask=prior, sigma=0.5 * schedule.rtv_sigma)
    light = estimate_light(inputs.image, mean, normals_image, confidence=confidence)
    shade = shading(normals_image, light)
    mean = regions.mean_albedo(inputs.image, shade, inputs.indicators, confidence=confidence)
    return Appearance(light, mean, mean, jnp.zeros_like(mean), confidence)


def fit_albedo(
    appearance: Appearance, image: Array, shade: Array, *, weights: FineWeights, schedule: Schedule
) -> Minimum:
    """Adam on Eq. 6 with epsilon = 0, from the initial albedo."""
    energy = functools.partial(
        albedo_energy,
        image=image,
        shading=shade,
        specular=0.0,
        mean_albedo=appearance.mean_albedo,
        mask=appearance.confidence,
        weights=weights.albedo,
        sigma=schedule.rtv_sigma,
        per_channel=schedule.rtv_per_channel,
    )
    return minimise(energy, appearance.albedo, learning_rate=weights.albedo_rate, num_steps=schedule.albedo_steps)


def smooth_highlights(
    image: Float[Array, "height width 3"],
    diffuse: Float[Array, "height width 3"],
    mask: Float[Array, "height width"],
    *,
    sigma: float,
) -> Float[Array, "height width 3"]:
    """beta_0 of Eq. 8 as a grey, smooth, non-negative map.

    Departs from print: with beta_0 the raw residual, Eq. 8's minimiser is the residual itself, I' equals I and no
    signal is left for the height map; so this estimate is used as it stands.
    """
    residual = masked_blur(luminance(image - diffuse), mask, sigma=sigma)
    ordinary = jnp.sum(mask * jnp.abs(residual)) / jnp.maximum(jnp.sum(mask), 1e-6)
    shine = jax.nn.relu(residual - _SHINE_DEVIATIONS * ordinary) * mask
    return jnp.broadcast_to(shine[..., None], image.shape)


def refine_height(
    inputs: FineInputs,
    appearance: Appearance,
    start_px: Float[Array, "height width"],
    *,
    initial_px: Float[Array, "height width"],
    depth_weights: DepthWeights,
    rate: Float[Array, ""] | float,
    num_steps: int,
) -> Minimum:
    """One phase of Eq. 9 by Adam on u, d = start + K u with K diagonal in Fourier space."""

    def energy(u):
        return depth_energy(
            start_px + precondition(u),
            image=inputs.image,
            albedo=appearance.albedo,
            specular=appearance.specular,
            light=appearance.light,
            initial_height_px=initial_px,
            mask=appearance.confidence,
            weights=depth_weights,
        )

    rates = cosine_rates(rate, num_steps=num_steps)
    result = minimise(energy, jnp.zeros_like(start_px), learning_rate=rates, num_steps=num_steps)
    return result._replace(value=start_px + precondition(result.value))


def refine_in_turn(
    inputs: FineInputs,
    appearance: Appearance,
    start_px: Float[Array, "height width"],
    *,
    initial_px: Float[Array, "height width"],
    specular_init: Float[Array, "height width 3"],
    depth_weights: DepthWeights,
    rate: Float[Array, ""] | float,
    weights: FineWeights,
    schedule: Schedule,
    num_steps: int,
) -> tuple[Appearance, Minimum]:
    """One phase as printed: each iteration takes an Adam step on albedo (Eq. 6), specular (Eq. 8), height (Eq. 9)."""
    image, mask, light = inputs.image, appearance.confidence, appearance.light

    def of_albedo(blocks):
        albedo, specular, height_px = blocks
        shade = shading(depth_normals(height_px), light)
        return albedo_energy(
            albedo, image=image, shading=shade, specular=specular, mean_albedo=appearance.mean_albedo, mask=mask,
            weights=weights.albedo, sigma=schedule.rtv_sigma, per_channel=schedule.rtv_per_channel,
        )  # fmt: skip

    def of_specular(blocks):
        albedo, specular, height_px = blocks
        diffuse = render(albedo, shading(depth_normals(height_px), light))
        return specular_energy(
            specular, image=image, diffuse=diffuse, specular_init=specular_init, mask=mask, weights=weights.specular
        )

    def of_height(blocks):
        albedo, specular, height_px = blocks
        return depth_energy(
            height_px, image=image, albedo=albedo, specular=specular, light=light, initial_height_px=initial_px,
            mask=mask, weights=depth_weights, as_printed=True,
        )  # fmt: skip

    result = minimise_in_turn(
        (of_albedo, of_specular, of_height),
        (appearance.albedo, appearance.specular, start_px),
        learning_rates=(weights.albedo_rate_in_turn, weights.specular_rate, rate),
        num_steps=num_steps,
    )
    albedo, specular, height_px = result.value
    return appearance._replace(albedo=albedo, specular=specular), result._replace(value=height_px)


def run(inputs: FineInputs, *, weights: FineWeights, schedule: Schedule) -> FineMaps:
    """Refines the medium height map on one crop; pure, for jit and vmap. `schedule` is static.

    Never raises on data: `finite` tells whether every number stayed finite.
    """
    initial_px = fill_outside(inputs.height_px, inputs.covered)
    normals = depth_normals(initial_px)
    appearance = estimate_appearance(inputs, normals, schedule=schedule)
    shade = shading(normals, appearance.light)
    albedo = fit_albedo(appearance, inputs.image, shade, weights=weights, schedule=schedule)
    appearance = appearance._replace(albedo=albedo.value)
    diffuse = render(albedo.value, shade)
    phases = ((weights.phase1, weights.phase1_rate, schedule.phase1_steps),
              (weights.phase2, weights.phase2_rate, schedule.phase2_steps))  # fmt: skip
    results, height_px = [], initial_px
    if not schedule.literal:
        specular = smooth_highlights(inputs.image, diffuse, appearance.confidence, sigma=2.0 * schedule.rtv_sigma)
        appearance = appearance._replace(specular=specular)
    specular_init = (inputs.image - diffuse) * appearance.confidence[..., None]
    for depth_weights, rate, num_steps in phases:
        common = dict(initial_px=initial_px, depth_weights=depth_weights, rate=rate, num_steps=num_steps)
        if schedule.literal:
            appearance, result = refine_in_turn(
                inputs, appearance, height_px, specular_init=specular_init, weights=weights, schedule=schedule, **common
            )
        else:
            result = refine_height(inputs, appearance, height_px, **common)
        height_px = result.value
        results.append(result)
    return _assemble(inputs, appearance, initial_px, results, finite=albedo.finite)


def _assemble(
    inputs: FineInputs, appearance: Appearance, initial_px: Array, results: list, *, finite: Array
) -> FineMaps:
    """Gathers the maps; towards the mask's rim the height returns to the medium's, so that no step is left."""
    soft = gaussian_blur(appearance.confidence, sigma=_RIM * initial_px.shape[0])
    keep = jnp.clip(2.0 * soft - 0.8, 0.0, 1.0)
    phase1, phase2 = (initial_px + keep * (result.value - initial_px) for result in results)
    normals, initial_normals = depth_normals(phase2), depth_normals(initial_px)
    return FineMaps(
        medium_height_px=initial_px,
        phase1_height_px=phase1,
        height_px=phase2,
        normals_image=normals,
        albedo=_continue_albedo(inputs.image, appearance, shading(initial_normals, appearance.light)),
        shading=shading(normals, appearance.light),
        specular=appearance.specular,
        mask=inputs.covered,
        confidence=appearance.confidence,
        light=appearance.light,
        depth_energies=jnp.concatenate([result.energies for result in results]),
        finite=finite & results[0].finite & results[1].finite,
    )


def _continue_albedo(image: Array, appearance: Appearance, shade: Array) -> Array:
    """Beyond the skin mask, where eyes, lips, hair and glasses are, the albedo is what the skin's own shading, smoothly
    continued, leaves of the photo; the shading of a surface that is not there would leave bright and dark rims."""
    weight = appearance.confidence
    continued = masked_blur(shade, weight, sigma=_CONTINUATION * image.shape[0])
    mean = jnp.sum(weight[..., None] * shade, axis=(0, 1), keepdims=True) / jnp.maximum(jnp.sum(weight), 1e-6)
    continued = jnp.where(continued > 0.25 * mean, continued, jnp.maximum(mean, 0.05))
    rest = jnp.clip(image / continued, 0.0, 1.0)
    return weight[..., None] * appearance.albedo + (1.0 - weight[..., None]) * rest
