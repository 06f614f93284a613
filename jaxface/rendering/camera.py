"""Object frame (mm) to image frame (px) and back, and square crops of the image.

With v = R v_mm the point in the camera frame, s the scale, k the inverse focal length, c the principal point:
p = 1 / (1 - s k z),  x_px = c_x + (t_x - c_x + s x) p,  y_px = c_y + (t_y - c_y - s y) p,  height_px = s z.
k = 0 is the scaled orthographic camera. The pose's scale and translation hold at the object's origin.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.morphable.pose import rotation_matrix
from jaxface.numerics import matmul
from jaxface.types import Camera, Crop, Pose


def orthographic() -> Camera:
    """The scaled orthographic camera; its principal point plays no part."""
    return Camera(inverse_focal=jnp.zeros(()), principal_point_px=jnp.zeros(2))


def project(vertices_mm: Float[Array, "vertices 3"], pose: Pose, *, camera: Camera) -> Float[Array, "vertices 3"]:
    """Rows (x_px, y_px, height_px) of object-frame points."""
    scaled = jnp.exp(pose.log_scale) * matmul(vertices_mm, rotation_matrix(pose.rotation_vector).T)
    enlargement = 1.0 / (1.0 - camera.inverse_focal * scaled[:, 2])
    centre = camera.principal_point_px[None, :]
    offsets = pose.translation_px[None, :] - centre + scaled[:, :2] * jnp.array([[1.0, -1.0]])
    return jnp.concatenate([centre + offsets * enlargement[:, None], scaled[:, 2:]], axis=1)


def unproject(points: Float[Array, "points 3"], pose: Pose, *, camera: Camera) -> Float[Array, "points 3"]:
    """Inverse of `project`: rows (x_px, y_px, height_px) to object-frame millimetres."""
    height = points[:, 2:]
    centre = camera.principal_point_px[None, :]
    offsets = (points[:, :2] - centre) * (1.0 - camera.inverse_focal * height)
    lateral = (offsets + centre - pose.translation_px[None, :]) * jnp.array([[1.0, -1.0]])
    scaled = jnp.concatenate([lateral, height], axis=1)
    return matmul(scaled, rotation_matrix(pose.rotation_vector)) * jnp.exp(-pose.log_scale)


def crop_points(points_px: Float[Array, "points 2"], crop: Crop) -> Float[Array, "points 2"]:
    """Image pixels to crop pixels."""
    return (points_px - crop.offset_px[None, :]) * crop.zoom


def uncrop_points(points_px: Float[Array, "points 2"], crop: Crop) -> Float[Array, "points 2"]:
    """Crop pixels to image pixels."""
    return points_px / crop.zoom + crop.offset_px[None, :]


def crop_pose(pose: Pose, crop: Crop) -> Pose:
    """The pose that projects straight into the crop (with `crop_camera`'s camera)."""
    return Pose(
        rotation_vector=pose.rotation_vector,
        translation_px=(pose.translation_px - crop.offset_px) * crop.zoom,
        log_scale=pose.log_scale + jnp.log(crop.zoom),
    )


def crop_camera(camera: Camera, crop: Crop) -> Camera:
    """The camera of the crop: the focal length in pixels grows with the zoom."""
    return Camera(
        inverse_focal=camera.inverse_focal / crop.zoom,
        principal_point_px=(camera.principal_point_px - crop.offset_px) * crop.zoom,
    )


def crop_image(image: Float[Array, "height width 3"], crop: Crop, *, size: int) -> Float[Array, "{size} {size} 3"]:
    """The window as a square picture: cubic resampling (Keys 1981), widened when shrinking against aliasing.

    Beyond the photo its border pixels are repeated, so that no false edge appears. Clipped to [0, 1].
    """
    rows = _resampling(crop.offset_px[1], crop.zoom, length=image.shape[0], size=size)
    columns = _resampling(crop.offset_px[0], crop.zoom, length=image.shape[1], size=size)
    tall = jnp.einsum("oy,yxc->oxc", rows, image, precision="highest")
    return jnp.clip(jnp.einsum("ox,yxc->yoc", columns, tall, precision="highest"), 0.0, 1.0)


def _resampling(
    offset: Float[Array, ""], zoom: Float[Array, ""], *, length: int, size: int
) -> Float[Array, "size length"]:
    centres = jnp.clip(jnp.arange(size) / zoom + offset, 0.0, length - 1.0)
    distances = jnp.abs(centres[:, None] - jnp.arange(length)[None, :]) * jnp.minimum(zoom, 1.0)
    weights = _cubic(distances)
    return weights / jnp.sum(weights, axis=1, keepdims=True)


def _cubic(distance: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    near = (1.5 * distance - 2.5) * distance * distance + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    return jnp.where(distance < 1.0, near, jnp.where(distance < 2.0, far, 0.0))
