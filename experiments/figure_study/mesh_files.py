"""Meshes of many methods and faces on disk: which file is whose, and their landmarks."""

import glob
import re
from collections.abc import Callable

from jaxface.evaluation.surfaces import FaceSurface
from jaxface.io.surfaces import read_surface
from jaxface.models.mesh_landmarks import mesh_landmarks
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


def read_face(path: str, *, detect: Callable) -> FaceSurface:
    """A mesh with iBUG's landmarks, wherever `mesh_landmarks` has them from. Raises FaceError."""
    vertices_mm, triangles = read_surface(path)
    if len(triangles) == 0:
        raise FaceError(f"{path}: it has no triangles and cannot be shown; give a mesh.")
    return FaceSurface(vertices_mm, triangles, mesh_landmarks(path, vertices_mm, triangles, detect=detect)[0])
