"""Eq. 6 of Jin et al. (2021) with each detail term of its Fig. 8 in turn, and the fine stage that follows from it."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.energies.depth import depth_energy
from jaxface.energies.specular import specular_energy
from jaxface.geometry.normals import depth_normals
from jaxface.imaging.filters import erode, gaussian_blur, laplace, luminance
from jaxface.imaging.rtv import relative_total_variation
from jaxface.numerics import sum_squares
from jaxface.presets import FineWeights, Schedule
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import shading
from jaxface.solvers.adam import Minimum, minimise, minimise_in_turn
from jaxface.stages import fine
from jaxface.types import FineInputs, FineMaps

_RIM = 0.006  # of the crop's side, as in the fine stage: softness of the mask's rim


def no_detail(signal: Array, mask: Array, *, sigma: float) -> Array:
    """The colour term alone."""
    return jnp.float32(0.0)


def laplacian_detail(signal: Array, mask: Array, *, sigma: float) -> Array:
    """|laplace gamma|^2 in grey levels: with the weight lambda_gamma2 = 2.5 as printed, like the image term's own."""
    planes = signal[..., None] if signal.ndim == 2 else signal
    curved = jax.vmap(laplace, in_axes=-1, out_axes=-1)(planes)
    return sum_squares(255.0 * curved * erode(mask)[..., None])


def rtv_detail(signal: Array, mask: Array, *, sigma: float) -> Array:
    """|RTV(gamma)|^2, Eqs. 6 and 7."""
    rtv = relative_total_variation(signal, mask, sigma=sigma)
    return sum_squares(rtv * (mask[..., None] if signal.ndim == 3 else mask))


# By the names of Fig. 8's columns (b), (c) and (d).
TERMS: dict[str, Callable[..., Array]] = {
    "colour": no_detail,
    "colour + Laplacian": laplacian_detail,
    "colour + RTV": rtv_detail,
}


def albedo_energy(
    albedo: Float[Array, "height width 3"],
    *,
    shading: Array,
    specular: Array | float,
    image: Array,
    mean_albedo: Array,
    mask: Array,
    weights: FineWeights,
    schedule: Schedule,
    term: str,
) -> Array:
    """Eq. 6 with a detail term by name; with "colour + RTV" the library's own energy."""
    data = sum_squares((render(albedo, shading, specular) - image) * mask[..., None])
    colour = sum_squares((albedo - mean_albedo) * mask[..., None])
    signal = albedo if schedule.rtv_per_channel else luminance(albedo)
    detail = TERMS[term](signal, mask, sigma=schedule.rtv_sigma)
    return data + weights.albedo.colour * colour + weights.albedo.detail * detail


def run(inputs: FineInputs, weights: FineWeights, *, term: str, schedule: Schedule) -> FineMaps:
    """The fine stage as in `jaxface.stages.fine.run`, whose surface and skin albedo it gives with "colour + RTV"."""
    initial_px = fine.fill_outside(inputs.height_px, inputs.covered)
    normals = depth_normals(initial_px)
    appearance = fine.estimate_appearance(inputs, normals, schedule=schedule)
    shade = shading(normals, appearance.light)
    energy = functools.partial(
        albedo_energy, image=inputs.image, mean_albedo=appearance.mean_albedo, mask=appearance.confidence,
        weights=weights, schedule=schedule, term=term,
    )  # fmt: skip
    by_itself = functools.partial(energy, shading=shade, specular=0.0)
    fitted = minimise(by_itself, appearance.albedo, learning_rate=weights.albedo_rate, num_steps=schedule.albedo_steps)
    appearance = appearance._replace(albedo=fitted.value)
    refine = _refine_in_turn if schedule.literal else _refine
    appearance, results = refine(inputs, appearance, initial_px, energy, shade, weights=weights, schedule=schedule)
    return _assemble(inputs, appearance, initial_px, results, finite=fitted.finite)


def _phases(weights: FineWeights, schedule: Schedule) -> tuple:
    return (
        (weights.phase1, weights.phase1_rate, schedule.phase1_steps),
        (weights.phase2, weights.phase2_rate, schedule.phase2_steps),
    )


def _refine(inputs, appearance, initial_px, energy, shade, *, weights, schedule) -> tuple[fine.Appearance, list]:
    """Both phases of the measured reading: the albedo stays."""
    diffuse, sigma = render(appearance.albedo, shade), 2.0 * schedule.rtv_sigma
    specular = fine.smooth_highlights(inputs.image, diffuse, appearance.confidence, sigma=sigma)
    appearance, results, start_px = appearance._replace(specular=specular), [], initial_px
    for depth_weights, rate, num_steps in _phases(weights, schedule):
        shared = dict(initial_px=initial_px, depth_weights=depth_weights, rate=rate, num_steps=num_steps)
        results.append(fine.refine_height(inputs, appearance, start_px, **shared))
        start_px = results[-1].value
    return appearance, results


def _refine_in_turn(
    inputs, appearance, initial_px, energy, shade, *, weights, schedule
) -> tuple[fine.Appearance, list]:
    """Both phases as printed: albedo (with the chosen term), specular and height move in turn."""
    image, mask, light = inputs.image, appearance.confidence, appearance.light
    specular_init = (image - render(appearance.albedo, shade)) * mask[..., None]
    blocks, results = (appearance.albedo, appearance.specular, initial_px), []

    def lit(height_px):
        return shading(depth_normals(height_px), light)

    def of_albedo(blocks):
        return energy(blocks[0], shading=lit(blocks[2]), specular=blocks[1])

    def of_specular(blocks):
        diffuse = render(blocks[0], lit(blocks[2]))
        shared = dict(image=image, diffuse=diffuse, specular_init=specular_init, mask=mask)
        return specular_energy(blocks[1], weights=weights.specular, **shared)

    for depth_weights, rate, num_steps in _phases(weights, schedule):

        def of_height(blocks, depth_weights=depth_weights):
            return depth_energy(
                blocks[2], image=image, albedo=blocks[0], specular=blocks[1], light=light,
                initial_height_px=initial_px, mask=mask, weights=depth_weights, as_printed=True,
            )  # fmt: skip

        rates = (weights.albedo_rate_in_turn, weights.specular_rate, rate)
        found = minimise_in_turn((of_albedo, of_specular, of_height), blocks, learning_rates=rates, num_steps=num_steps)
        blocks = found.value
        results.append(found._replace(value=blocks[2]))
    return appearance._replace(albedo=blocks[0], specular=blocks[1]), results


def _assemble(
    inputs: FineInputs, appearance: fine.Appearance, initial_px: Array, results: list[Minimum], *, finite: Array
) -> FineMaps:
    """The maps; towards the mask's rim the height returns to the medium's. Albedo counts inside the mask."""
    weight = appearance.confidence
    keep = jnp.clip(2.0 * gaussian_blur(weight, sigma=_RIM * initial_px.shape[0]) - 0.8, 0.0, 1.0)
    phase1, phase2 = (initial_px + keep * (result.value - initial_px) for result in results)
    normals = depth_normals(phase2)
    return FineMaps(
        medium_height_px=initial_px,
        phase1_height_px=phase1,
        height_px=phase2,
        normals_image=normals,
        albedo=appearance.albedo,
        shading=shading(normals, appearance.light),
        specular=appearance.specular,
        mask=inputs.covered,
        confidence=weight,
        light=appearance.light,
        depth_energies=jnp.concatenate([result.energies for result in results]),
        finite=finite & results[0].finite & results[1].finite,
    )
