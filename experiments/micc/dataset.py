"""The MICC Florence 2D/3D set on disk: who is in it, and where scans, videos and landmarks are.

    subject_NN/Model/{frontal1,frontal2}/obj/<stamp>.obj                   NN = 01 ... 53
    subject_NN/Video/{Indoor-Cooperative,PTZ-Indoor,PTZ-Outdoor}.<avi, mjpg, mjpeg, mpg, mp4 ...>

What is odd about it:
  - A scan's name is a time, such as 110920150452.obj: the one OBJ in the folder is taken. Textures, the parallel vrml/
    folder and the scans from the side (sidel, sider) are not needed.
  - Scans are in mm, but neither upright nor centred: heads are pitched by some 36 degrees, the face looks down.
  - Videos have whatever suffix they were given or re-encoded to; where one comes with several, the first of `SUFFIXES`.
  - In the PTZ videos the camera zooms: frames in which the face is too small to be found are skipped.
  - Not everything is there or whole. Of the landmarks published, those of subject 30's frontal2 are missing, and in one
    collection those of its frontal1 are a copy of subject 1's; the frontal1 files of subjects 3 and 30 are said to be
    broken. Works use 52 or 53 subjects, some of them no outdoor videos: choose, and tell how many were used.
"""

import pathlib
import re
from typing import NamedTuple

from jaxface.detection.mediapipe_mesh import MediaPipeDetector
from jaxface.evaluation.surfaces import FaceSurface
from jaxface.io.surfaces import read_points, read_surface, to_ibug
from jaxface.models.scan_landmarks import find_landmarks
from jaxface.types import FaceError

CONDITIONS = {"cooperative": "Indoor-Cooperative", "indoor": "PTZ-Indoor", "outdoor": "PTZ-Outdoor"}
SCANS = ("frontal1", "frontal2")
SUFFIXES = (".avi", ".mjpg", ".mjpeg", ".mpg", ".mpeg", ".mp4", ".mov", ".mkv", ".webm", ".m4v")
LANDMARK_SUFFIXES = (".npy", ".txt", ".pp", ".json")
_NAME = re.compile(r"subject_(\d+)", re.IGNORECASE)
_RANGE = re.compile(r"(?:subject_)?(\d+)(?:-(\d+))?", re.IGNORECASE)


class Subject(NamedTuple):
    """Scans by their name, videos by condition, and a sentence for whatever is missing."""

    name: str
    scans: dict[str, pathlib.Path]
    videos: dict[str, pathlib.Path]
    complaints: tuple[str, ...]


def find_subjects(folder: pathlib.Path, *, chosen: list[str], scans: tuple[str, ...]) -> list[Subject]:
    """The chosen subjects ("7", "3-12" or "subject_07"; none: all) in their order, with those of their `scans` and
    videos that are there. Raises FaceError for a folder without subjects, and for one that it does not hold."""
    if not folder.is_dir():
        raise FaceError(f"{folder} is not a folder: name the one that holds subject_01, subject_02 and so on.")
    found = {int(match[1]): path for path in sorted(folder.iterdir()) if (match := _NAME.fullmatch(path.name))}
    if not found:
        raise FaceError(f"{folder} holds no folder subject_NN: name the one that holds subject_01 and so on.")
    wanted = _numbers(chosen) or set(found)
    if missing := sorted(wanted - set(found)):
        raise FaceError(f"{folder} holds no subject_{missing[0]:02d}: choose among those that are there.")
    return [_subject(found[number], scans) for number in sorted(wanted)]


def read_scan(path: pathlib.Path, *, name: str, landmarks_dir: pathlib.Path | None) -> FaceSurface:
    """A scan with its landmarks: from the file `name`.npy, .txt, .pp or .json in `landmarks_dir`, or, where there is
    none, as they are found on the scan. Raises FaceError, also for a scan without vertices."""
    vertices_mm, triangles = read_surface(path)
    if not len(vertices_mm):
        raise FaceError(f"{path}: the scan has no vertices; get a complete copy.")
    file = landmark_file(landmarks_dir, name)
    if file is not None:
        return FaceSurface(vertices_mm, triangles, to_ibug(read_points(file)))
    return FaceSurface(vertices_mm, triangles, find_landmarks(vertices_mm, triangles, detect=MediaPipeDetector()))


def landmark_file(landmarks_dir: pathlib.Path | None, name: str) -> pathlib.Path | None:
    """The file with a scan's landmarks, if there is one."""
    files = [] if landmarks_dir is None else [landmarks_dir / f"{name}{suffix}" for suffix in LANDMARK_SUFFIXES]
    return next((file for file in files if file.is_file()), None)


def _numbers(chosen: list[str]) -> set[int]:
    numbers = set()
    for text in chosen:
        match = _RANGE.fullmatch(text.strip())
        if not match:
            raise FaceError(f"{text!r} is no subject: give numbers, or ranges such as 3-12.")
        first, last = int(match[1]), int(match[2] or match[1])
        numbers |= set(range(first, last + 1))
    return numbers


def _subject(folder: pathlib.Path, scans: tuple[str, ...]) -> Subject:
    models, videos, complaints = {}, {}, []
    for name in scans:
        files = _files(folder / "Model" / name / "obj", stem=None, suffixes=(".obj",))
        if len(files) == 1:
            models[name] = files[0]
        else:
            number = "no" if not files else "more than one"
            complaints.append(f"{folder.name}, {name}: there is {number} OBJ file in Model/{name}/obj.")
    for condition, stem in CONDITIONS.items():
        files = _files(folder / "Video", stem=stem, suffixes=SUFFIXES)
        if files:
            videos[condition] = files[0]
        else:
            complaints.append(f"{folder.name}, {condition}: there is no video Video/{stem}.*.")
    if not models and not videos:
        complaints = [f"{folder.name}: it is empty, with neither scan nor video."]
    return Subject(folder.name, models, videos, tuple(complaints))


def _files(folder: pathlib.Path, *, stem: str | None, suffixes: tuple[str, ...]) -> list[pathlib.Path]:
    """Files of that stem (in any case; None: of any), in the order of their suffixes."""
    if not folder.is_dir():
        return []
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix.lower() in suffixes]
    files = [path for path in files if stem is None or path.stem.lower() == stem.lower()]
    return sorted(files, key=lambda path: suffixes.index(path.suffix.lower()))
