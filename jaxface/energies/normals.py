"""How far a surface is inclined from what a network sees of skin (ours): residuals for the coefficients of Eq. 1 of
Jin et al. (2021).

Normals live in the image frame, of whatever camera: those of triangles whose corners are rows (x_px, y_px, height_px).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.imaging.filters import gaussian_blur, sample
from jaxface.numerics import normalise, smoothstep
from jaxface.rendering.camera import crop_points
from jaxface.types import Crop, LearnedNormals

_POOL = 1.0 / 128.0  # of the crop's side: a patch's normal is that of all the skin it stands for
_LEAST_SHARE = 1e-3  # of a pool that is skin: less is nothing
_FACING = (0.2, 0.5)  # cosine to the viewer between which a patch gains its weight


class NormalsSeen(NamedTuple):
    """On a square crop: normals that a network sees (image frame), how far off they may be (radians), and the
    probability that bare skin is seen."""

    normals_image: Float[Array, "size size 3"]
    spread: Float[Array, "size size"]
    skin: Float[Array, "size size"]


def normals_seen(said: LearnedNormals, height_px: Float[Array, "size size"]) -> NormalsSeen:
    """What a network says of a surface, given by its heights continued past its rim, as normals."""
    dy, dx = jnp.gradient(height_px)
    slopes = jnp.stack([dx, dy], axis=-1) + said.slope_change
    normals = normalise(jnp.concatenate([-slopes, jnp.ones_like(slopes[..., :1])], axis=-1))
    return NormalsSeen(normals, said.spread, said.skin)


def learned_normals(seen: NormalsSeen, height_px: Float[Array, "size size"]) -> LearnedNormals:
    """The same as what a network says of another surface."""
    dy, dx = jnp.gradient(height_px)
    slopes = -seen.normals_image[..., :2] / jnp.maximum(seen.normals_image[..., 2:], 0.05)
    return LearnedNormals(slopes - jnp.stack([dx, dy], axis=-1), seen.spread, seen.skin)


class Inclination(NamedTuple):
    """The same at patches of the surface."""

    normals_image: Float[Array, "patches 3"]
    spread: Float[Array, "patches"]
    skin: Float[Array, "patches"]


def pool(seen: NormalsSeen) -> NormalsSeen:
    """What patches of some millimetres see: means over the skin around, the surer pixels counting more."""
    sigma = max(_POOL * seen.skin.shape[0], 0.5)
    skin = jnp.clip(seen.skin, 0.0, 1.0)
    weights = skin / jnp.maximum(seen.spread, 1e-2) ** 2
    values = jnp.concatenate([seen.normals_image, seen.spread[..., None]], axis=-1)
    values = jnp.where(skin[..., None] > 0.0, values, 0.0)  # may hold anything where there is no skin
    weights = jnp.where(skin > 0.0, weights, 0.0)
    total = gaussian_blur(weights, sigma=sigma)
    means = gaussian_blur(weights[..., None] * values, sigma=sigma) / jnp.maximum(total, 1e-12)[..., None]
    share = gaussian_blur(skin, sigma=sigma)
    upright = jnp.array([[[0.0, 0.0, 1.0]]])
    normals = normalise(jnp.where(share[..., None] > _LEAST_SHARE, means[..., :3], upright))
    return NormalsSeen(normals, means[..., 3], jnp.where(share > _LEAST_SHARE, share, 0.0))


def at_places(seen: NormalsSeen, places_px: Float[Array, "patches 2"], crop: Crop) -> Inclination:
    """What is seen at places of the photo."""
    stacked = jnp.concatenate([seen.normals_image, seen.spread[..., None], seen.skin[..., None]], axis=-1)
    values = sample(stacked, crop_points(places_px, crop))
    return Inclination(normalise(values[:, :3]), values[:, 3], values[:, 4])


def triangle_normals(corners_px: Float[Array, "patches 3 3"]) -> Float[Array, "patches 3"]:
    """Unit normals in the image frame, which is left-handed."""
    a, b, c = (corners_px[:, k] for k in range(3))
    return normalise(jnp.cross(c - a, b - a))


def facing_weights(normals_image: Float[Array, "patches 3"], area: Float[Array, "patches"]) -> Float[Array, "patches"]:
    """Areas, less where the surface turns away."""
    return area * smoothstep(normals_image[:, 2], between=_FACING)


def across(normals: Float[Array, "patches 3"], targets: Float[Array, "patches 3"]) -> Float[Array, "patches 2"]:
    """The part of the first normals that lies across the second, which must look at the viewer; its length is the sine
    of the angle between them."""
    tilt = targets[:, :2]
    along = jnp.sum(tilt * normals[:, :2], axis=1) / (1.0 + jnp.maximum(targets[:, 2], 0.0)) + normals[:, 2]
    return normals[:, :2] - along[:, None] * tilt


def normal_residuals(
    normals_image: Float[Array, "patches 3"],
    seen: Inclination,
    weights: Float[Array, "patches"],
    *,
    least: Float[Array, ""] | float,
    independent: Float[Array, ""] | float,
    outlier: Float[Array, ""] | float,
) -> Float[Array, "residuals"]:
    """How a patch is inclined across what is seen, in spreads of `least` radians or more; two numbers a patch.

    Geman-McClure beyond `outlier` spreads. Errors of the network are alike at neighbours: patches of the weights'
    sum, all bare, together count as `independent` ones.
    """
    errors = across(normals_image, seen.normals_image) / jnp.maximum(seen.spread, least)[:, None]
    softened = errors / jnp.sqrt(1.0 + jnp.sum(errors**2, axis=1) / outlier**2)[:, None]
    share = independent / jnp.maximum(jnp.sum(weights), 1e-6)
    return (jnp.sqrt(share * jnp.maximum(weights * seen.skin, 1e-12))[:, None] * softened).ravel()


def misfit_degrees(
    corners_px: Float[Array, "patches 3 3"], seen: NormalsSeen, crop: Crop, *, area: Float[Array, "patches"]
) -> Float[Array, ""]:
    """Mean angle between visible patches of skin and what is seen there, the surer ones counting more."""
    normals = triangle_normals(corners_px)
    there = at_places(pool(seen), jnp.mean(corners_px[..., :2], axis=1), crop)
    weights = facing_weights(normals, area) * there.skin / jnp.maximum(there.spread, 0.05) ** 2
    angles = jnp.arccos(jnp.clip(jnp.sum(normals * there.normals_image, axis=1), -1.0, 1.0))
    return jnp.degrees(jnp.sum(weights * angles) / jnp.maximum(jnp.sum(weights), 1e-6))
