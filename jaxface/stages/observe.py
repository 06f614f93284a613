"""From a medium mesh and a crop to what the fine stage sees: height map, coverage, regions, mean texture."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.geometry.normals import vertex_normals
from jaxface.geometry.subdivision import Subdivision, subdivide
from jaxface.rendering.camera import project
from jaxface.rendering.raster import interpolate, rasterise
from jaxface.types import Camera, FineInputs, MorphableModel, Pose, Region

# Cosines to the viewer between which the surface gains trust: grazing light and hair sit at the rim.
_FACING = (0.15, 0.45)


def _smoothstep(x: Array, low: float, high: float) -> Array:
    t = jnp.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _vertex_attributes(model: MorphableModel) -> Float[Array, "vertices 7"]:
    """Skin, eyebrow and mouth indicators, one for places without skin, then the mean texture."""
    is_region = jax.nn.one_hot(model.vertex_regions, len(Region))
    eyebrow, mouth = is_region[:, Region.EYEBROW], is_region[:, Region.MOUTH]
    closed = is_region[:, Region.EYE_OPENING] + is_region[:, Region.MOUTH_OPENING] + is_region[:, Region.BORDER]
    skin = 1.0 - eyebrow - mouth
    return jnp.concatenate([jnp.stack([skin, eyebrow, mouth, closed], axis=1), model.albedo], axis=1)


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

    `inside` is 0 where the crop reaches beyond the photo.
    """
    size = image.shape[0]
    vertices_px = project(subdivide(vertices_mm, subdivision=surface), pose, camera=camera)
    raster = rasterise(vertices_px, surface.triangles, height=size, width=size)
    facing = -vertex_normals(vertices_px, surface.triangles)[:, 2:]
    attributes = subdivide(_vertex_attributes(model), subdivision=surface)
    seen = interpolate(raster, jnp.concatenate([attributes, facing], axis=1), surface.triangles)
    covered = jnp.where(raster.triangle >= 0, 1.0, 0.0)
    # Brow hair is texture, not relief.
    trust = (1.0 - seen[..., 1]) * (1.0 - _smoothstep(seen[..., 3], 0.05, 0.4))
    prior = covered * inside * trust * _smoothstep(seen[..., 7], *_FACING)
    return FineInputs(
        image=image,
        height_px=raster.height_px,
        covered=covered,
        prior=prior,
        indicators=seen[..., :3],
        albedo=jnp.where(covered[..., None] > 0, seen[..., 4:7], 0.5),
    )
