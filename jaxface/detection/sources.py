"""Where landmarks come from: given points, a file of them, or a detector on the photo (host side)."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from jaxface.detection.files import read_landmarks
from jaxface.detection.mediapipe_mesh import MediaPipeDetector
from jaxface.detection.select import is_present, select_face
from jaxface.types import NUM_LANDMARKS, Detector, FaceError, Landmarks

Source = Landmarks | str | os.PathLike | Detector | None  # points, a file, a detector, or None for MediaPipe


def find_landmarks(
    image: Float[np.ndarray, "height width 3"], *, source: Source = None, face: int | None = None
) -> tuple[Landmarks, dict[str, float]]:
    """Landmarks of the face meant, and figures for the report. Raises FaceError where there is none to use.

    `source`: points as they are, a `.npy`, `.pts` or `.json` file, a detector, or None for MediaPipe; `face` counts
    from 0, largest first.
    """
    if isinstance(source, Landmarks):
        faces = [_checked(source)]
    elif isinstance(source, str | os.PathLike):
        faces = [read_landmarks(source)]
    else:
        faces = find_faces(image, detector=as_detector(source))
    chosen = select_face(faces, index=face, image_shape=image.shape)
    return chosen, {"faces": float(len(faces)), "confidence": float(np.mean(np.asarray(chosen.confidence)))}


def find_faces(
    image: Float[np.ndarray, "height width 3"] | UInt8[np.ndarray, "height width 3"], *, detector: Detector
) -> list[Landmarks]:
    """All faces that a detector finds in an RGB image (0-255 or 0-1), largest first, checked: it may be anybody's."""
    pixels = image if image.dtype == np.uint8 else np.round(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
    faces = detector(pixels)
    if not (isinstance(faces, Sequence) and all(isinstance(face, Landmarks) for face in faces)):
        raise FaceError(f"The detector {name_of(detector)} must return a list with the Landmarks of each face.")
    return [_checked(face) for face in faces]


def as_detector(source: Detector | None) -> Detector:
    """The detector; without one MediaPipe's. Raises FaceError for anything else."""
    if source is None:
        return MediaPipeDetector()
    if not callable(source):
        raise FaceError(f"Landmarks can be found by a function of an image, not by {type(source).__name__}.")
    return source


def name_of(source: Source) -> str:
    """What settings and manifests call it: "given", the file's name, or the detector's."""
    if isinstance(source, Landmarks):
        return "given"
    if isinstance(source, str | os.PathLike):
        return pathlib.Path(source).name
    detector = as_detector(source)
    return str(getattr(detector, "name", None) or getattr(detector, "__name__", type(detector).__name__))


def _checked(landmarks: Landmarks) -> Landmarks:
    """The points as given, if they can be used at all. Absent ones may hold anything."""
    shapes = tuple(np.shape(part) for part in landmarks)
    if shapes != ((NUM_LANDMARKS, 2), (NUM_LANDMARKS,), (NUM_LANDMARKS,)):
        raise FaceError(f"Landmarks must be {NUM_LANDMARKS} points (x, y), heights and confidences, not {shapes}.")
    present = is_present(landmarks)
    if not present.any() or not np.isfinite(np.asarray(landmarks.points_px)[present]).all():
        raise FaceError("Landmarks must be finite wherever their confidence is above 0, and some must be.")
    return landmarks
