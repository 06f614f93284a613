"""Eq. 6 of Jin et al. (2021) with each detail term of its Fig. 8 in turn, and the fine stage that follows from it."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxface.energies.albedo import AlbedoWeights
from jaxface.energies.scene import FineTerms, Phase, Scene
from jaxface.imaging.filters import erode, laplace, luminance
from jaxface.imaging.rtv import relative_total_variation
from jaxface.numerics import sum_squares
from jaxface.rendering.image_model import render
from jaxface.stages import fine
from jaxface.types import FineInputs, FineMaps


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


def albedo_term(scene: Scene, weights: AlbedoWeights, *, detail: Callable, sigma: float, per_channel: bool) -> Array:
    """Eq. 6 with any detail term; with `rtv_detail` it is the library's own."""
    data = sum_squares((render(scene.albedo, scene.shading, scene.specular) - scene.image) * scene.mask[..., None])
    colour = sum_squares((scene.albedo - scene.mean_albedo) * scene.mask[..., None])
    signal = scene.albedo if per_channel else luminance(scene.albedo)
    return data + weights.colour * colour + weights.detail * detail(signal, scene.mask, sigma=sigma)


@functools.cache
def with_detail(terms: FineTerms, name: str) -> FineTerms:
    """A preset's terms with another detail term in Eq. 6, wherever the albedo is solved for."""

    def change(phase: Phase) -> Phase:
        unknowns = tuple(
            dataclasses.replace(
                each, energy=functools.partial(albedo_term, detail=TERMS[name], **each.energy.keywords)
            )
            if each.name == "albedo" else each
            for each in phase.unknowns
        )  # fmt: skip
        return dataclasses.replace(phase, unknowns=unknowns)

    phases = {part: change(getattr(terms, part)) for part in ("albedo", "phase1", "phase2")}
    return dataclasses.replace(terms, **phases)


def run(inputs: FineInputs, terms: FineTerms) -> FineMaps:
    """The fine stage, with the albedo of the skin alone: it counts inside the mask."""
    phase1 = fine.solve(fine.light_and_albedo(inputs, terms), terms.phase1)
    phase2 = fine.solve(phase1, terms.phase2)
    return fine.make_maps(phase2, phase1_height_px=fine.shown_height(phase1))._replace(albedo=phase2.albedo)
