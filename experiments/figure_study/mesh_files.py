"""Meshes of many methods and faces on disk: which file is whose, and their landmarks."""

import contextlib
import glob
import pathlib
import re
from collections.abc import Callable, Iterator

from jaxface.detection.mediapipe_mesh import open_detector
from jaxface.evaluation.surfaces import FaceSurface
from jaxface.io.surfaces import LANDMARK_SUFFIXES, read_points, read_surface, to_ibug, unit_mm
from jaxface.models.result_landmarks import result_landmarks
from jaxface.models.scan_landmarks import find_landmarks
from jaxface.types import FaceError

HOLE = "{}"  # stands for the name of a face


def parse_methods(entries: list[str]) -> dict[str, str]:
    """Patterns of paths by method, from entries "method:pattern". Raises FaceError."""
    methods = {}
    for entry in entries:
        name, colon, pattern = entry.partition(":")
        if not (name and colon and pattern):
            raise FaceError(f"--methods: {entry!r} must be a method's name, a colon and the path of its meshes.")
        if name in (*methods, "photo", "scan"):
            raise FaceError(f"--methods: {name!r} is the name of another column; give each method its own.")
        methods[name] = pattern
    return methods


def faces_of(patterns: list[str]) -> list[str]:
    """Names of faces for which files exist, sorted; without a hole in any pattern there is one, "face"."""
    names, holed = set(), [pattern for pattern in patterns if HOLE in pattern]
    for pattern in holed:
        first, *rest = map(re.escape, pattern.split(HOLE))
        wanted = re.compile("(?P<name>[^/]+)".join([first, rest[0]]) + "".join(f"(?P=name){part}" for part in rest[1:]))
        paths = glob.glob("*".join(glob.escape(part) for part in pattern.split(HOLE)))
        found = {match["name"] for match in map(wanted.fullmatch, paths) if match}
        if not found:
            raise FaceError(f"{pattern}: there are no such files; {HOLE} stands for the name of a face.")
        names |= found
    return sorted(names) if holed else ["face"]


@contextlib.contextmanager
def lazy_detector() -> Iterator[Callable]:
    """MediaPipe, opened when it is first asked."""
    with contextlib.ExitStack() as stack:
        opened = []

        def detect(image):
            if not opened:
                opened.append(stack.enter_context(open_detector()))
            return opened[0](image)

        yield detect


def read_face(path: str, *, detect: Callable) -> FaceSurface:
    """A mesh with iBUG's landmarks: from a file of its name beside it, else by the face model that it is made of, else
    as `detect` finds them on pictures of it. Raises FaceError."""
    vertices_mm, triangles = read_surface(path)
    if len(triangles) == 0:
        raise FaceError(f"{path}: it has no triangles and cannot be shown; give a mesh.")
    files = (pathlib.Path(path).with_suffix(suffix) for suffix in LANDMARK_SUFFIXES)
    given = next((file for file in files if file.is_file()), None)
    if given is not None:
        return FaceSurface(vertices_mm, triangles, unit_mm(path, unit=None) * to_ibug(read_points(given)))
    known = result_landmarks(path, vertices_mm, triangles)
    if known is not None:
        return FaceSurface(vertices_mm, triangles, known[0])
    try:
        return FaceSurface(vertices_mm, triangles, find_landmarks(vertices_mm, triangles, detect=detect))
    except FaceError:
        raise FaceError(f"{path}: no face was found on it; put a landmark file of its name beside it.") from None
