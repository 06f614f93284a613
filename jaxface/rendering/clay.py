"""Pictures of a surface: neutral clay under a fixed light, and a photo's albedo under a new light."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxface.numerics import normalise
from jaxface.rendering.camera import cropped, project
from jaxface.rendering.raster import draw
from jaxface.types import Camera, Crop, Pose

# Directions to the lights in the image frame (x right, y down, z to the viewer), with their strengths.
_KEY, _FILL = ((-0.45, -0.55, 0.70), 0.72), ((0.75, -0.05, 0.65), 0.30)
_AMBIENT, _CLAY = 0.06, (0.82, 0.80, 0.78)
_DISPLAY_GAMMA = 2.2  # pictures are shown on screens, light adds up before


def lambert(normals_image: Float[Array, "height width 3"]) -> Float[Array, "height width"]:
    """Grey shading of a key light from the upper left, a weak fill from the right, and a little ambient light."""
    shade = jnp.full(normals_image.shape[:-1], _AMBIENT)
    for direction, strength in (_KEY, _FILL):
        unit = normalise(jnp.asarray(direction))
        shade = shade + strength * jnp.maximum(jnp.tensordot(normals_image, unit, axes=1), 0.0)
    return shade


def render_clay(
    vertices_mm: Float[Array, "vertices 3"],
    triangles: Int[Array, "faces 3"],
    pose: Pose,
    *,
    camera: Camera,
    size: int,
) -> Float[Array, "{size} {size} 3"]:
    """A smooth-shaded picture of a mesh on white, seen by `camera`; colours in [0, 1]."""
    vertices_px = project(vertices_mm, pose, camera=camera)
    raster, normals, _ = draw(vertices_px, triangles, vertices_px[:, :0], size=size)
    shade = lambert(normalise(normals))[..., None] ** (1.0 / _DISPLAY_GAMMA) * jnp.asarray(_CLAY)[None, None, :]
    return jnp.where((raster.triangle >= 0)[..., None], jnp.clip(shade, 0.0, 1.0), 1.0)


def clay_picture(
    vertices_mm: Float[Array, "vertices 3"],
    triangles: Int[Array, "faces 3"],
    pose: Pose,
    camera: Camera,
    crop: Crop,
    *,
    size: int,
) -> Float[Array, "{size} {size} 3"]:
    """`render_clay` as the photo's `crop` shows it; pose and camera are the photo's."""
    crop_pose, crop_camera = cropped(pose, camera, crop)
    return render_clay(vertices_mm, triangles, crop_pose, camera=crop_camera, size=size)


def relight(
    albedo: Float[Array, "height width 3"],
    normals_image: Float[Array, "height width 3"],
    mask: Float[Array, "height width"],
    *,
    background: Float[Array, "height width 3"],
) -> Float[Array, "height width 3"]:
    """The face under `lambert`'s light, blended into a background by the mask; as bright as the background's face."""
    lit = albedo * lambert(normals_image)[..., None]
    weight = mask[..., None]
    gain = jnp.sum(background * weight) / jnp.maximum(jnp.sum(lit * weight), 1e-6)
    return jnp.clip(weight * gain * lit + (1.0 - weight) * background, 0.0, 1.0)
