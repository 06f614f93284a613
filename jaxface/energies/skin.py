"""How far the shading of a morphable model is from a photo of its skin, as residuals: Eqs. 4 and 5 of Jin et al. (2021)
in the space of the model's coefficients (ours; the paper fits its coefficients to landmarks alone).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxface.imaging.filters import luminance
from jaxface.morphable.pose import rotation_matrix
from jaxface.numerics import matmul, normalise, smoothstep
from jaxface.rendering.camera import project
from jaxface.rendering.lighting import estimate_light, shading
from jaxface.types import Camera, MorphableModel, Pose, Region

_PATCHES = 1500  # triangles that stand for the skin
_FACING = (0.2, 0.5)  # cosine to the viewer between which a patch gains its weight
_SIGMA = 1.2533  # standard deviation over mean absolute error, of normal errors


class SkinPatches(NamedTuple):
    """Triangles spread over the skin and nose of a model, and their areas on the mean face over the mean area."""

    triangles: Int[Array, "patches 3"]
    area: Float[Array, "patches"]


class SkinView(NamedTuple):
    """Patches as a photo shows them: normals in the image frame, middles in pixels."""

    normals_image: Float[Array, "patches 3"]
    middles_px: Float[Array, "patches 2"]


class SkinTarget(NamedTuple):
    """What a photo says of the patches: its light, the brightness of the lit skin, each patch's weight, and the usual
    error that this light leaves, as a share of the brightness."""

    light: Float[Array, "9 3"]
    brightness: Float[Array, ""]
    weights: Float[Array, "patches"]
    spread: Float[Array, ""]


def skin_patches(model: MorphableModel) -> SkinPatches:
    """Picks the patches (host; once a model)."""
    triangles, regions = np.asarray(model.triangles), np.asarray(model.vertex_regions)
    is_skin = np.isin(regions, [Region.SKIN, Region.NOSE])[triangles].all(axis=1)
    triangles = triangles[is_skin] if is_skin.any() else triangles
    chosen = triangles[np.linspace(0, len(triangles) - 1, min(_PATCHES, len(triangles))).astype(int)]
    a, b, c = (np.asarray(model.mean_mm)[chosen[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return SkinPatches(jnp.asarray(chosen), jnp.asarray(area / max(area.mean(), 1e-12), jnp.float32))


def view_skin(corners_mm: Float[Array, "patches 3 3"], pose: Pose, *, camera: Camera) -> SkinView:
    """Where patches with these corners (object frame) appear, and how they are turned."""
    normals = normalise(jnp.cross(corners_mm[:, 1] - corners_mm[:, 0], corners_mm[:, 2] - corners_mm[:, 0]))
    turned = matmul(normals, rotation_matrix(pose.rotation_vector).T) * jnp.array([[1.0, -1.0, 1.0]])
    return SkinView(turned, project(jnp.mean(corners_mm, axis=1), pose, camera=camera)[:, :2])


def light_skin(view: SkinView, colours: Float[Array, "patches 3"], *, area: Float[Array, "patches"]) -> SkinTarget:
    """The light that explains the patches' colours best if all skin has one colour (it takes that colour in)."""
    weights = area * smoothstep(view.normals_image[:, 2], between=_FACING)
    light = estimate_light(
        colours[:, None], jnp.ones_like(colours)[:, None], view.normals_image[:, None], confidence=weights[:, None]
    )
    total = jnp.maximum(jnp.sum(weights), 1e-6)
    brightness = jnp.maximum(jnp.sum(weights * luminance(colours)) / total, 1e-3)
    errors = _errors(view, colours, light, brightness=brightness)
    return SkinTarget(light, brightness, weights, _SIGMA * jnp.sum(weights * jnp.abs(errors)) / total)


def skin_residuals(
    view: SkinView,
    colours: Float[Array, "patches 3"],
    target: SkinTarget,
    *,
    spread: Float[Array, ""] | float,
    independent: Float[Array, ""] | float,
    outlier: Float[Array, ""] | float,
) -> Float[Array, "patches"]:
    """Brightness by Eqs. 4 and 5 minus the photo's, in usual errors, which are `spread` times the brightness.

    Geman-McClure beyond `outlier` usual errors: cast shadows, beards and glasses let go. Texture makes neighbours err
    alike, so all patches together count as `independent` ones. A photo that even its best light explains worse than
    `spread` counts less: shapes would be bent to make its shadows.
    """
    errors = _errors(view, colours, target.light, brightness=target.brightness) / spread
    softened = errors / jnp.sqrt(1.0 + (errors / outlier) ** 2)
    trust = jnp.minimum(spread / jnp.maximum(target.spread, 1e-6), 1.0) ** 2
    share = independent / jnp.maximum(jnp.sum(target.weights), 1e-6)
    return trust * jnp.sqrt(share * jnp.maximum(target.weights, 1e-12)) * softened


def _errors(
    view: SkinView, colours: Float[Array, "patches 3"], light: Float[Array, "9 3"], *, brightness: Float[Array, ""]
) -> Float[Array, "patches"]:
    return (luminance(shading(view.normals_image, light)) - luminance(colours)) / brightness
