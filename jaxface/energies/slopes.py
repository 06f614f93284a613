"""Eq. 9's fourth term of Jin et al. (2021) with slopes that a network asks for in the place of the image's gradient.

Heights in pixels toward the viewer, x right, y down.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.imaging.filters import difference_x, difference_y, forward_masks, laplace
from jaxface.numerics import sum_squares
from jaxface.types import LearnedNormals

SURE = 0.1  # radians: normals that may be off by this much, seen from the front, weigh 1
_SUREST = 0.05  # radians: no normal is believed more than this


class Slopes(NamedTuple):
    """What a surface is asked for between each pixel and its right, then its lower neighbour: the `change` of its
    slopes and the squared `weight` of each, 0 off the skin."""

    change: Float[Array, "2 height width"]
    weight: Float[Array, "2 height width"]


class SlopeWeights(NamedTuple):
    """Weights of the terms beside the slopes asked for, and from how many times `SURE` these are outliers."""

    position: Float[Array, ""] | float
    smoothness: Float[Array, ""] | float
    gradient: Float[Array, ""] | float
    outlier: Float[Array, ""] | float


def slopes_asked(
    normals: LearnedNormals, height_px: Float[Array, "height width"], *, mask: Float[Array, "height width"]
) -> Slopes:
    """The slopes that a network asks of a surface, within a soft mask of skin.

    An angle off by a turns into a slope off by a / nz^2, so the squared weight is mask nz^4 / spread^2, in units of
    `SURE`.
    """
    dy, dx = jnp.gradient(height_px)
    slopes = jnp.stack([dx, dy], axis=-1) + normals.slope_change
    facing = 1.0 / (1.0 + jnp.sum(slopes**2, axis=-1)) ** 2  # nz^4
    weight = mask * facing * (SURE / jnp.maximum(normals.spread, _SUREST)) ** 2
    x, y = normals.slope_change[..., 0], normals.slope_change[..., 1]
    between = jnp.stack([x + 0.5 * difference_x(x), y + 0.5 * difference_y(y)])
    return Slopes(between, jnp.stack(forward_masks(jnp.sqrt(weight))))


def slope_energy(change_px: Float[Array, "height width"], asked: Slopes, *, weights: SlopeWeights) -> Float[Array, ""]:
    """|w (t - grad d)|^2 over the slopes t asked for, beside l1 |q|^2, l2 |laplace q|^2 and l3 |grad q|^2 (ours).

    The height is d = d0 + q. Off the skin nothing is asked for: there the change dies away over the root of l3 / l1, in
    pixels, so that no step stands at the skin's rim and no skin is lost to one.
    Residuals are robust (Geman and McClure 1985), for slopes across a silhouette are no surface's.
    """
    scale = (weights.outlier * SURE) ** 2
    energy = weights.position * sum_squares(change_px) + weights.smoothness * sum_squares(laplace(change_px))
    for difference, change, weight in zip((difference_x, difference_y), asked.change, asked.weight, strict=True):
        slope = difference(change_px)
        squared = weight * (slope - change) ** 2
        energy += jnp.sum(squared * scale / (squared + scale) + weights.gradient * slope**2)
    return energy


def slope_misfit(shown_px: Float[Array, "height width"], asked: Slopes) -> Float[Array, ""]:
    """How far the slopes of the change that is shown are from those asked for, their weighted rms."""
    slopes = jnp.stack([difference_x(shown_px), difference_y(shown_px)])
    squared = asked.weight * (slopes - asked.change) ** 2
    return jnp.sqrt(jnp.sum(squared) / jnp.maximum(jnp.sum(asked.weight), 1e-6))
