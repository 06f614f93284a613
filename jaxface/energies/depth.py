"""Depth energy, Jin et al. (2021) Eq. 9; heights in pixels toward the viewer, images in [0, 1]."""

from typing import NamedTuple

from jaxtyping import Array, Float

from jaxface.geometry.normals import depth_normals
from jaxface.imaging.filters import difference_x, difference_y, erode, forward_masks, laplace, luminance
from jaxface.numerics import sum_squares
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import shading


class DepthWeights(NamedTuple):
    """Weights of Eq. 9, lambda_d1 to lambda_d4; `data` scales the image term (1 in the paper)."""

    position: Float[Array, ""] | float
    smoothness: Float[Array, ""] | float
    gradient: Float[Array, ""] | float
    emboss: Float[Array, ""] | float
    data: Float[Array, ""] | float


def _gradient_distance(
    image_grey: Array, height: Array, mask: Array, on_image: Array | float, on_height: Array | float
) -> Array:
    """|on_image grad(I) - on_height grad(d)|^2 over the mask."""
    mask_x, mask_y = forward_masks(mask)
    x = on_image * difference_x(image_grey) - on_height * difference_x(height)
    y = on_image * difference_y(image_grey) - on_height * difference_y(height)
    return sum_squares(x * mask_x) + sum_squares(y * mask_y)


def depth_energy(
    height_px: Float[Array, "height width"],
    *,
    image: Float[Array, "height width 3"],
    albedo: Float[Array, "height width 3"],
    specular: Float[Array, "height width"] | Float[Array, "height width 3"],
    light: Float[Array, "9 3"],
    initial_height_px: Float[Array, "height width"],
    mask: Float[Array, "height width"],
    weights: DepthWeights,
    as_printed: bool = False,
) -> Float[Array, ""]:
    """Jin et al. (2021) Eq. 9: |I' - I|^2 + l1 |d - d0|^2 + l2 |laplace d|^2 + l3 |grad I - l4 grad d|^2.

    Departs from print unless `as_printed`: the last two terms act on the change q = d - d0, and lambda_d4 stands on the
    image side, |l4 grad I - grad q|^2. As printed, phase 2 penalises the slope of the whole face and flattens it.
    Terms that look at neighbours count where all of them are inside `mask`.
    """
    inner = erode(mask)
    change = height_px - initial_height_px
    rendered = render(albedo, shading(depth_normals(height_px), light), specular)
    data = sum_squares((rendered - image) * inner[..., None])
    position = sum_squares(change * mask)
    grey = luminance(image)
    if as_printed:
        smoothness = sum_squares(laplace(height_px) * inner)
        gradient = _gradient_distance(grey, height_px, mask, 1.0, weights.emboss)
    else:
        smoothness = sum_squares(laplace(change) * inner)
        gradient = _gradient_distance(grey, change, mask, weights.emboss, 1.0)
    return (
        weights.data * data
        + weights.position * position
        + weights.smoothness * smoothness
        + weights.gradient * gradient
    )
