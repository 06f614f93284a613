"""Frames of a clip with the landmarks of the one person in it (host side)."""

import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxface.detection.mediapipe_mesh import Detector, open_detector
from jaxface.detection.select import select_face
from jaxface.io.video import Clip, read_frames
from jaxface.tracking.threads import Timeline
from jaxface.types import FaceError, Landmarks

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
        landmarker_task: str | os.PathLike | None,
        timeline: Timeline,
    ):
        self.complaint = ""
        self._clip, self._first, self._timeline, self._task = clip, first, timeline, landmarker_task
        self._ordered, self._before_px = ordered, before_px

    def __iter__(self) -> Iterator[Detection]:
        reader = read_frames(self._clip, first=self._first)
        with open_detector(landmarker_task=self._task) as detect:
            frames = iter(reader)
            while True:
                with self._timeline.lane("decode"):
                    frame = next(frames, None)
                if frame is None:
                    break
                yield self._sight(frame, detect)
        self.complaint = reader.complaint

    def _sight(self, frame, detect: Detector) -> Detection:
        if frame.image is None:
            return Detection(frame.name, frame.time_s, None, None, frame.reason)
        with self._timeline.lane("detect"):
            faces = detect(frame.image)
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
    return np.asarray(landmarks.points_px)[np.asarray(landmarks.confidence) > 0.0].mean(axis=0)
