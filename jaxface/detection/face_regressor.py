"""3DDFA_V2 around its network: photo and landmarks to crop, the network's numbers to pose and coefficients (host side).

After Guo et al. (2020), *Towards fast, accurate and stable 3D dense face alignment*, and its code
(cleardusk/3DDFA_V2: TDDFA.py, utils/functions.py, utils/tddfa_util.py, utils/pose.py).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxface.networks.mobilenet import CROP_SIZE, NUM_OUTPUTS, Params, regress
from jaxface.types import FaceError

_NUM_POSE, _NUM_SHAPE = 12, 40
_UM_PER_MM = 1000.0
_FARTHEST_PX = 1e6  # beyond every photo
_LEAST_SQUARE = 0.5  # ratio of the pose's two scales: about 1 for faces, 0.4 where the network sees noise

_regress = jax.jit(regress)

Points = Float[Array, "landmarks 2"] | Float[np.ndarray, "landmarks 2"]


class TddfaWeights(NamedTuple):
    """The network's parameters, and what turns its raw output into pose and coefficients: raw * std + mean."""

    params: Params
    mean: Float[np.ndarray, "62"]
    std: Float[np.ndarray, "62"]


class FaceRegression(NamedTuple):
    """What the network says about a face in a photo.

    `rotation` turns object axes into camera axes (+x image right, +y up, +z toward the viewer). A point of the model,
    X in millimetres, appears at translation_px + px_per_mm * (x, -y) of rotation @ X, so that `translation_px` is where
    the model's origin appears. `shape` and `expression` are upstream's raw coefficients, which multiply the bases
    `w_shp` and `w_exp` (micrometres) as they are.
    """

    rotation: Float[np.ndarray, "3 3"]
    translation_px: Float[np.ndarray, "2"]
    px_per_mm: float
    shape: Float[np.ndarray, "40"]
    expression: Float[np.ndarray, "10"]


def regress_face(
    image: Float[np.ndarray, "height width 3"],
    points_px: Points,
    weights: TddfaWeights,
    *,
    apply: Callable[[Params, Array], Array] = _regress,
) -> FaceRegression:
    """Pose, identity and expression of the face with these landmarks in an RGB photo in [0, 1].

    `points_px` are those of the face that iBUG's 68 have, in any order; only their bounding box counts. `apply` calls
    the compiled network. Raises FaceError if the points are unusable or lie outside the photo, or no face is seen.
    """
    roi = roi_from_landmarks(points_px)
    raw = np.asarray(apply(weights.params, jnp.asarray(crop_face(image, roi))))
    return decode(raw * weights.std + weights.mean, roi)


def roi_from_landmarks(points_px: Points) -> Float[np.ndarray, "4"]:
    """The window around landmarks that the network was trained on: left, top, right, bottom in pixels.

    As upstream while tracking: the square around the bounding box, enlarged by the square root of 2.
    """
    points = np.asarray(points_px, np.float64)
    if len(points) == 0 or not np.all(np.abs(points) < _FARTHEST_PX):
        raise FaceError("The landmarks for the face regressor must be finite pixel coordinates of a whole face.")
    low, high = points.min(axis=0), points.max(axis=0)
    half = np.max(high - low) / np.sqrt(2.0)
    if half < 1.0:
        raise FaceError("The landmarks for the face regressor lie on one spot; give those of a whole face.")
    centre = (low + high) / 2.0
    return np.concatenate([centre - half, centre + half])


def crop_face(
    image: Float[np.ndarray, "height width 3"], roi: Float[np.ndarray, "4"]
) -> Float[np.ndarray, "120 120 3"]:
    """The window of an RGB photo in [0, 1] as the network wants it: BGR, 0-255, black beyond the photo's border.

    Corners are rounded to whole pixels; resampling is bilinear without smoothing, as OpenCV's INTER_LINEAR does it.
    """
    left, top, right, bottom = (int(corner) for corner in np.rint(roi))
    height, width = image.shape[:2]
    if min(right, width) <= max(left, 0) or min(bottom, height) <= max(top, 0):
        raise FaceError("The landmarks for the face regressor lie outside the picture; give those of this picture.")
    rows, columns = _resampling(top, bottom), _resampling(left, right)
    crop = np.zeros((CROP_SIZE, CROP_SIZE, 3), np.float64)
    for y, weight_y in rows:
        for x, weight_x in columns:
            inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))[None, :]
            values = image[np.clip(y, 0, height - 1)[:, None], np.clip(x, 0, width - 1)[None, :]]
            crop += (weight_y[:, None] * weight_x[None, :] * inside)[..., None] * values
    return (255.0 * crop[..., ::-1]).astype(np.float32)


def _resampling(start: int, stop: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two neighbours, place and weight, of each pixel of the crop along an axis of the photo."""
    places = (np.arange(CROP_SIZE) + 0.5) * (stop - start) / CROP_SIZE - 0.5
    places = np.clip(places, 0.0, stop - start - 1.0)
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, stop - start - 1)
    return [(start + below, 1.0 - (places - below)), (start + above, places - below)]


def decode(params_62: Float[np.ndarray, "62"], roi: Float[np.ndarray, "4"]) -> FaceRegression:
    """The network's de-normalised output, for the window it saw, as a pose in the photo and coefficients.

    The first twelve numbers are a 3 x 4 matrix, row by row, from micrometres to a crop whose pixels count from 1 and
    whose y points up: x_photo = (x - 1) * zoom + left and y_photo = (120 - y) * zoom + top. Departs from upstream in
    that the rotation is the nearest proper one, since the network's rows are only nearly orthogonal.
    """
    if not np.isfinite(params_62).all():
        raise FaceError("The face regressor gave numbers that are not finite; check the picture and its weights.")
    matrix = params_62[:_NUM_POSE].astype(np.float64).reshape(3, 4)
    left_vectors, scales, right_vectors = np.linalg.svd(matrix[:2, :3], full_matrices=False)
    if not scales[1] > _LEAST_SQUARE * scales[0]:
        raise FaceError("The face regressor sees no face at these landmarks; give those of a face in the picture.")
    across, up = left_vectors @ right_vectors
    left, top, right, _ = roi
    zoom = (right - left) / CROP_SIZE
    x, y = matrix[:2, 3]
    return FaceRegression(
        rotation=np.stack([across, up, np.cross(across, up)]).astype(np.float32),
        translation_px=np.array([(x - 1.0) * zoom + left, (CROP_SIZE - y) * zoom + top], np.float32),
        px_per_mm=float(scales.mean() * _UM_PER_MM * zoom),
        shape=params_62[_NUM_POSE : _NUM_POSE + _NUM_SHAPE],
        expression=params_62[_NUM_POSE + _NUM_SHAPE : NUM_OUTPUTS],
    )
