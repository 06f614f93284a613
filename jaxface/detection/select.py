"""Which of the faces found is meant (host side)."""

import numpy as np
from jaxtyping import Bool

from jaxface.types import FaceError, Landmarks


def is_present(landmarks: Landmarks) -> Bool[np.ndarray, "landmarks"]:
    """Which points there are at all."""
    return np.asarray(landmarks.confidence) > 0.0


def select_face(
    faces: list[Landmarks], *, index: int | None = None, image_shape: tuple[int, ...], minimum_px: float = 48.0
) -> Landmarks:
    """The face number `index` (from 0, largest first), or the largest; FaceError if it cannot be used.

    `image_shape` begins with height and width; a face must be `minimum_px` wide and at least half inside.
    """
    if not faces:
        raise FaceError("No face was found: use a photo that shows one clearly, or give its points with --landmarks.")
    if index is not None and not 0 <= index < len(faces):
        count = "1 face was" if len(faces) == 1 else f"{len(faces)} faces were"
        raise FaceError(f"There is no face {index}: {count} found, so --face must be from 0 to {len(faces) - 1}.")
    face = faces[index or 0]
    points_px = np.asarray(face.points_px)[is_present(face)]
    size_px = float(np.ptp(points_px, axis=0).max())
    if size_px < minimum_px:
        raise FaceError(
            f"The face is only {size_px:.0f} pixels large; at least {minimum_px:.0f} are needed: use a larger photo."
        )
    height, width = image_shape[:2]
    if np.mean(np.all((points_px >= -0.5) & (points_px <= np.array([width, height]) - 0.5), axis=1)) < 0.5:
        raise FaceError("Most of the face lies outside of the image: use a photo that shows it, or other landmarks.")
    return face
