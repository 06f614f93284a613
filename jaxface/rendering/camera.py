"""Object frame (mm) to image frame (px) and back, and square crops of the image.

With v = R v_mm the point in the camera frame, s the scale, k the inverse focal length, c the principal point:
p = 1 / (1 - s k z),  x_px = c_x + (t_x - c_x + s x) p,  y_px = c_y + (t_y - c_y - s y) p,  height_px = s z.
k = 0 is the scaled orthographic camera. The pose's scale and translation hold at the object's origin.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.morphable.pose import rotation_matrix
from jaxface.numerics import matmul
from jaxface.types import Camera, Crop, MorphableModel, Pose, Region

MARGIN = 1.2  # side of the crop over the longer side of the face mesh


def orthographic() -> Camera:
    """The scaled orthographic camera; its principal point plays no part."""
    return Camera(inverse_focal=jnp.zeros(()), principal_point_px=jnp.zeros(2))


def make_camera(*, height: int, width: int, focal_px: float | None = None) -> Camera:
    """Scaled orthographic, or perspective with the principal point in the photo's middle."""
    inverse = 0.0 if focal_px is None else 1.0 / focal_px
    return Camera(jnp.float32(inverse), jnp.array([(width - 1) / 2.0, (height - 1) / 2.0], jnp.float32))


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


def cropped(pose: Pose, camera: Camera, crop: Crop) -> tuple[Pose, Camera]:
    """Pose and camera that project straight into the crop, where the focal length in pixels grows with the zoom."""
    return (
        Pose(
            rotation_vector=pose.rotation_vector,
            translation_px=(pose.translation_px - crop.offset_px) * crop.zoom,
            log_scale=pose.log_scale + jnp.log(crop.zoom),
        ),
        Camera(
            inverse_focal=camera.inverse_focal / crop.zoom,
            principal_point_px=(camera.principal_point_px - crop.offset_px) * crop.zoom,
        ),
    )


def face_extent(
    vertices_mm: Float[Array, "vertices 3"], pose: Pose, camera: Camera, *, model: MorphableModel
) -> tuple[Float[Array, "2"], Float[Array, ""]]:
    """Middle and longer side of the face, without ears and neck, in the image."""
    points_px = project(vertices_mm, pose, camera=camera)[:, :2]
    is_face = (model.vertex_regions < Region.OUTSIDE)[:, None]
    low = jnp.min(points_px, axis=0, where=is_face, initial=jnp.inf)
    high = jnp.max(points_px, axis=0, where=is_face, initial=-jnp.inf)
    return 0.5 * (low + high), jnp.max(high - low)


def face_crop(
    vertices_mm: Float[Array, "vertices 3"], pose: Pose, camera: Camera, *, model: MorphableModel, size: int
) -> Crop:
    """The square crop that holds a face as it appears, to be resampled to `size` pixels a side."""
    centre_px, side_px = face_extent(vertices_mm, pose, camera, model=model)
    side_px = MARGIN * side_px
    return Crop(centre_px - 0.5 * side_px, size / side_px)


def within(crop: Crop, *, size: int, image_size_px: Float[Array, "2"]) -> Float[Array, "size size"]:
    """1 where a pixel of the crop lies on the photo."""
    steps = jnp.arange(size) / crop.zoom
    inside = [(crop.offset_px[k] + steps > -0.5) & (crop.offset_px[k] + steps < image_size_px[k] - 0.5) for k in (0, 1)]
    return (inside[1][:, None] & inside[0][None, :]).astype(jnp.float32)
