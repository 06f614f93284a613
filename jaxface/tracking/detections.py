"""Frames of a clip with the landmarks of the one person in it (host side)."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxface.detection.select import is_present, select_face
from jaxface.detection.sources import find_faces
from jaxface.io.video import Clip, read_frames
from jaxface.tracking.threads import Timeline
from jaxface.types import Detector, FaceError, Landmarks

NO_LANDMARKS = "no face was found"


class Detection(NamedTuple):
    """A frame (uint8 RGB; None if it cannot be read), its landmarks, or the reason why it has none."""

    name: str
    time_s: float
    image: np.ndarray | None
    landmarks: Landmarks | None
    reason: str


class ClipDetections:
    """Iterates over the chosen frames from `first` on; afterwards `complaint` says what was wrong with the file.

    In a video the face nearest to the one before is meant, whose middle is `before_px`; otherwise the largest.
    """

    def __init__(
        self,
        clip: Clip,
        *,
        first: int,
        before_px: np.ndarray | None,
        ordered: bool,
        detector: Detector,
        timeline: Timeline,
    ):
        self.complaint = ""
        self._clip, self._first, self._timeline, self._detector = clip, first, timeline, detector
        self._ordered, self._before_px = ordered, before_px

    def __iter__(self) -> Iterator[Detection]:
        reader = read_frames(self._clip, first=self._first)
        frames = iter(reader)
        while True:
            with self._timeline.lane("decode"):
                frame = next(frames, None)
            if frame is None:
                break
            yield self._sight(frame)
        self.complaint = reader.complaint

    def _sight(self, frame) -> Detection:
        if frame.image is None:
            return Detection(frame.name, frame.time_s, None, None, frame.reason)
        with self._timeline.lane("detect"):
            faces = find_faces(frame.image, detector=self._detector)
        try:
            landmarks = select_face(self._by_nearness(faces), image_shape=frame.image.shape)
        except FaceError as error:
            reason = NO_LANDMARKS if not faces else str(error).rstrip(".").split(":")[0].lower()
            return Detection(frame.name, frame.time_s, frame.image, None, reason)
        self._before_px = middle_px(landmarks) if self._ordered else None
        return Detection(frame.name, frame.time_s, frame.image, landmarks, "")

    def _by_nearness(self, faces: list[Landmarks]) -> list[Landmarks]:
        if self._before_px is None:
            return faces
        return sorted(faces, key=lambda face: float(np.linalg.norm(middle_px(face) - self._before_px)))


def middle_px(landmarks: Landmarks) -> np.ndarray:
    """The middle of the points present."""
    return np.asarray(landmarks.points_px)[is_present(landmarks)].mean(axis=0)
