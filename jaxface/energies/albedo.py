"""Albedo energy, Jin et al. (2021) Eq. 6; images and albedo in [0, 1], sums over pixels and channels."""

from typing import NamedTuple

from jaxtyping import Array, Float

from jaxface.imaging.filters import luminance
from jaxface.imaging.rtv import relative_total_variation
from jaxface.numerics import sum_squares
from jaxface.rendering.image_model import render


class AlbedoWeights(NamedTuple):
    """Weights of Eq. 6, lambda_gamma1 and lambda_gamma2."""

    colour: Float[Array, ""] | float
    detail: Float[Array, ""] | float


def albedo_energy(
    albedo: Float[Array, "height width 3"],
    *,
    image: Float[Array, "height width 3"],
    shading: Float[Array, "height width 3"],
    specular: Float[Array, "height width"] | Float[Array, "height width 3"] | float,
    mean_albedo: Float[Array, "height width 3"],
    mask: Float[Array, "height width"],
    weights: AlbedoWeights,
    sigma: float = 3.0,
    per_channel: bool = True,
) -> Float[Array, ""]:
    """Jin et al. (2021) Eq. 6: |I' - I|^2 + l1 |gamma - gamma_avg|^2 + l2 |RTV(gamma)|^2 inside `mask`.

    Departs from print: the first term, printed `I - I`, is read as `I' - I`. With `per_channel` False RTV sees the
    luminance alone: a third of the cost at measured-equal quality.
    """
    data = sum_squares((render(albedo, shading, specular) - image) * mask[..., None])
    colour = sum_squares((albedo - mean_albedo) * mask[..., None])
    signal = albedo if per_channel else luminance(albedo)
    rtv = relative_total_variation(signal, mask, sigma=sigma)
    detail = sum_squares(rtv * (mask[..., None] if per_channel else mask))
    return data + weights.colour * colour + weights.detail * detail
