"""Specular energy, Jin et al. (2021) Eq. 8, and its closed-form minimiser; images in [0, 1]."""

from typing import NamedTuple

from jaxtyping import Array, Float

from jaxface.numerics import sum_squares


class SpecularWeights(NamedTuple):
    """Weight of Eq. 8, lambda_beta."""

    prior: Float[Array, ""] | float


def specular_energy(
    specular: Float[Array, "height width 3"],
    *,
    image: Float[Array, "height width 3"],
    diffuse: Float[Array, "height width 3"],
    specular_init: Float[Array, "height width 3"],
    mask: Float[Array, "height width"],
    weights: SpecularWeights,
) -> Float[Array, ""]:
    """Jin et al. (2021) Eq. 8 with epsilon = 1: |I' - I|^2 + l |beta - beta_0|^2, where I' = diffuse + beta."""
    data = sum_squares((diffuse + specular - image) * mask[..., None])
    prior = sum_squares((specular - specular_init) * mask[..., None])
    return data + weights.prior * prior


def specular_minimiser(
    image: Float[Array, "height width 3"],
    diffuse: Float[Array, "height width 3"],
    specular_init: Float[Array, "height width 3"],
    *,
    weights: SpecularWeights,
) -> Float[Array, "height width 3"]:
    """The exact minimiser of Eq. 8, which is quadratic and separable: (I - diffuse + l beta_0) / (1 + l)."""
    return (image - diffuse + weights.prior * specular_init) / (1.0 + weights.prior)
