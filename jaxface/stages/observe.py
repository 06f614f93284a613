"""From a medium mesh and a crop to what the fine stage sees: height map, coverage, regions, mean texture."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.geometry.subdivision import Subdivision, subdivide
from jaxface.numerics import smoothstep
from jaxface.rendering.camera import project
from jaxface.rendering.raster import draw
from jaxface.types import Camera, FineInputs, MorphableModel, Parsing, Pose, Region

# Cosines to the viewer between which the surface gains trust: grazing light and hair sit at the rim.
_FACING = (0.15, 0.45)
_OPEN = (0.05, 0.4)  # shares of openings, border and outside between which it loses it


def _vertex_attributes(model: MorphableModel) -> Float[Array, "vertices 8"]:
    """Skin, eyebrow and mouth indicators, one for places without skin, one beyond the face, then the mean texture."""
    is_region = jax.nn.one_hot(model.vertex_regions, len(Region))
    eyebrow, mouth = is_region[:, Region.EYEBROW], is_region[:, Region.MOUTH]
    beyond = jnp.where(model.vertex_regions >= Region.OUTSIDE, 1.0, 0.0)
    closed = beyond + sum(is_region[:, region] for region in (Region.EYE_OPENING, Region.MOUTH_OPENING, Region.BORDER))
    skin = 1.0 - eyebrow - mouth
    labels = jnp.stack([skin, eyebrow, mouth, closed, beyond], axis=1)
    return jnp.concatenate([labels, model.albedo], axis=1)


def run(
    image: Float[Array, "size size 3"],
    vertices_mm: Float[Array, "vertices 3"],
    pose: Pose,
    *,
    camera: Camera,
    model: MorphableModel,
    surface: Subdivision,
    inside: Float[Array, "size size"],
    parsing: Parsing | None = None,
) -> FineInputs:
    """Renders the medium mesh, subdivided to `surface`, into the crop (pose and camera are the crop's).

    `inside` is 0 where the crop reaches beyond the photo. Ears, scalp and neck count as not covered: hats, hair and
    collars are seen there, which are not to be taken for skin. `parsing` tells what the crop's pixels show; where it
    names no region, as in eyes and open mouths, the mesh's own stay.
    """
    size = image.shape[0]
    vertices_px = project(subdivide(vertices_mm, subdivision=surface), pose, camera=camera)
    attributes = subdivide(_vertex_attributes(model), subdivision=surface)
    raster, normals, seen = draw(vertices_px, surface.triangles, attributes, size=size)
    covered = jnp.where((raster.triangle >= 0) & (seen[..., 4] < 0.5), 1.0, 0.0)
    regions = seen[..., :3]
    visible: Array | float = 1.0
    if parsing is not None:
        rest = 1.0 - jnp.sum(parsing.indicators, axis=-1, keepdims=True)
        regions = covered[..., None] * (parsing.indicators + jnp.maximum(rest, 0.0) * regions)
        visible = parsing.visible
    # Brow hair is texture, not relief.
    trust = visible * (1.0 - regions[..., 1]) * (1.0 - smoothstep(seen[..., 3], between=_OPEN))
    prior = covered * inside * trust * smoothstep(normals[..., 2], between=_FACING)
    return FineInputs(
        image=image,
        height_px=raster.height_px,
        covered=covered,
        prior=prior,
        indicators=regions,
        albedo=jnp.where(covered[..., None] > 0, seen[..., 5:8], 0.5),
    )
