"""From a medium mesh and a crop to what the fine stage sees: height map, coverage, regions, mean texture."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.geometry.normals import vertex_normals
from jaxface.geometry.subdivision import Subdivision, subdivide
from jaxface.numerics import smoothstep
from jaxface.rendering.camera import project
from jaxface.rendering.raster import interpolate, rasterise
from jaxface.types import Camera, FineInputs, MorphableModel, Pose, Region

# Cosines to the viewer between which the surface gains trust: grazing light and hair sit at the rim.
_FACING = (0.15, 0.45)


def _vertex_attributes(model: MorphableModel) -> Float[Array, "vertices 8"]:
    """Skin, eyebrow and mouth indicators, one for places without skin, one beyond the face, then the mean texture."""
    is_region = jax.nn.one_hot(model.vertex_regions, len(Region))
    eyebrow, mouth = is_region[:, Region.EYEBROW], is_region[:, Region.MOUTH]
    no_skin = (Region.EYE_OPENING, Region.MOUTH_OPENING, Region.BORDER, Region.OUTSIDE)
    closed = sum(is_region[:, region] for region in no_skin)
    skin = 1.0 - eyebrow - mouth
    labels = jnp.stack([skin, eyebrow, mouth, closed, is_region[:, Region.OUTSIDE]], axis=1)
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
) -> FineInputs:
    """Renders the medium mesh, subdivided to `surface`, into the crop (pose and camera are the crop's).

    `inside` is 0 where the crop reaches beyond the photo. Ears, scalp and neck count as not covered: hats, hair and
    collars are seen there, which are not to be taken for skin.
    """
    size = image.shape[0]
    vertices_px = project(subdivide(vertices_mm, subdivision=surface), pose, camera=camera)
    raster = rasterise(vertices_px, surface.triangles, height=size, width=size)
    facing = -vertex_normals(vertices_px, surface.triangles)[:, 2:]
    attributes = subdivide(_vertex_attributes(model), subdivision=surface)
    seen = interpolate(raster, jnp.concatenate([attributes, facing], axis=1), surface.triangles)
    covered = jnp.where((raster.triangle >= 0) & (seen[..., 4] < 0.5), 1.0, 0.0)
    # Brow hair is texture, not relief.
    trust = (1.0 - seen[..., 1]) * (1.0 - smoothstep(seen[..., 3], 0.05, 0.4))
    prior = covered * inside * trust * smoothstep(seen[..., 8], *_FACING)
    return FineInputs(
        image=image,
        height_px=raster.height_px,
        covered=covered,
        prior=prior,
        indicators=seen[..., :3],
        albedo=jnp.where(covered[..., None] > 0, seen[..., 5:8], 0.5),
    )
