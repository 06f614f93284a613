"""Where landmarks come from: given points, a file of them, or MediaPipe on the photo (host side)."""

import os

import numpy as np
from jaxtyping import Float

from jaxface.detection.files import read_landmarks
from jaxface.detection.mediapipe_mesh import detect_faces
from jaxface.detection.select import select_face
from jaxface.types import NUM_LANDMARKS, FaceError, Landmarks


def find_landmarks(
    image: Float[np.ndarray, "height width 3"],
    *,
    source: Landmarks | str | os.PathLike | None = None,
    face: int | None = None,
    landmarker_task: str | os.PathLike | None = None,
) -> tuple[Landmarks, dict[str, float]]:
    """Landmarks of the face meant, and figures for the report. Raises FaceError where there is none to use.

    `source`: points as they are, a `.npy`, `.pts` or `.json` file, or None for MediaPipe; `face` counts from 0, largest
    first.
    """
    if isinstance(source, Landmarks):
        faces = [_checked(source)]
    elif source is not None:
        faces = [read_landmarks(source)]
    else:
        faces = detect_faces(image, landmarker_task=landmarker_task)
    chosen = select_face(faces, index=face, image_shape=image.shape)
    return chosen, {"faces": float(len(faces)), "confidence": float(np.mean(np.asarray(chosen.confidence)))}


def _checked(landmarks: Landmarks) -> Landmarks:
    """The points as given, if they can be used at all. Absent ones may hold anything."""
    shapes = tuple(np.shape(part) for part in landmarks)
    if shapes != ((NUM_LANDMARKS, 2), (NUM_LANDMARKS,), (NUM_LANDMARKS,)):
        raise FaceError(f"Landmarks must be {NUM_LANDMARKS} points (x, y), heights and confidences, not {shapes}.")
    present = np.asarray(landmarks.confidence) > 0.0
    if not present.any() or not np.isfinite(np.asarray(landmarks.points_px)[present]).all():
        raise FaceError("Landmarks must be finite wherever their confidence is above 0, and some must be.")
    return landmarks
